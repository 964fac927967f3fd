//! What load balancers are told: by the app, by the holding page, and by a process that is only there while somebody asks.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager, Mode, Neighbour, Outcome, request, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
const HTTP: &str = "127.0.0.1:8090";
const AGENT: &str = "127.0.0.1:8091";

fn sockets() -> Value {
    json!([HTTP, { "stream": AGENT, "protocol": "agent-check" }])
}

fn health() -> SocketAddr {
    HTTP.parse().expect("an address")
}

/// The one line for HAProxy.
fn line() -> String {
    let mut line = String::new();
    let mut stream = TcpStream::connect(AGENT).expect("never refused");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    stream.read_to_string(&mut line).expect("it is told");
    line.trim_end().to_owned()
}

fn ready() -> Outcome {
    request(health(), "/readyz", Duration::from_secs(10))
}

#[track_caller]
fn becomes(status: u16, word: &str) {
    wait_until(&format!("{status} and {word}"), SOON, || {
        let is_so = match ready() {
            Outcome::Answer(_) => status == 200,
            Outcome::Status(now) => status == now,
            Outcome::Refused | Outcome::Cut => panic!("refused"),
            _ => false,
        };
        (is_so && line().starts_with(word)).then_some(())
    });
}

/// Whether a question starts this unit.
fn starts(app: &App, unit: &str) -> bool {
    let socket = app.unit("-health.socket");
    let triggers = app.manager().property(&socket, "Triggers");
    triggers.split(' ').any(|one| one == unit)
}

#[test]
fn an_app_on_the_library_answers_itself_through_reloads_crashes_and_maintenance() {
    let app = App::named("told")
        .with("health", sockets())
        .install(&Behaviour::version("v1"));
    assert!(starts(&app, "told.service"));
    // To ask is to connect: it is started.
    becomes(200, "ready up");
    app.settled();
    assert_eq!(app.generations(), ["told@1.service"]);
    let asking = thread::spawn(|| {
        let asked: Vec<_> = (0..200)
            .map(|_| {
                thread::sleep(Duration::from_millis(10));
                ready()
            })
            .collect();
        asked
    });
    for version in ["v2", "v3", "v4"] {
        app.publish(&Behaviour::version(version));
        app.reload();
    }
    for outcome in asking.join().expect("it asks") {
        assert!(matches!(outcome, Outcome::Answer(_)), "{outcome:?}");
    }
    // Each answer is the current generation's.
    let answer = ready().expect_answer();
    assert!(answer.body.contains("\"generation\":4"), "{}", answer.body);
    let pid = app
        .manager()
        .property(&app.unit("-health.service"), "MainPID");
    assert_eq!(pid, "0", "nothing of ours runs beside it");
    let _ = app.portkeep("maintenance", &["on"]).expect_success();
    becomes(503, "maint");
    let _ = app.portkeep("maintenance", &["off"]).expect_success();
    becomes(200, "ready up");
    app.settled();
}

#[test]
fn where_no_release_can_serve_it_is_told_whoever_answers() {
    for (name, by) in [("never", "app"), ("never-asked", "portkeep")] {
        let app = App::named(name)
            .with("health", sockets())
            .with("healthBy", json!(by))
            .install(&Behaviour::version("v1").mode(Mode::Exit));
        app.wait_for_status(503, SOON);
        becomes(503, "down#");
        assert_eq!(request(health(), "/livez", SOON), Outcome::Status(503));
        app.publish(&Behaviour::version("v2"));
        becomes(200, "ready up");
        app.wait_for_version("v2", SOON);
    }
}

#[test]
fn another_app_is_answered_for_while_somebody_asks_and_no_longer() {
    let app = App::named("asked")
        .with("health", sockets())
        .with("healthBy", json!("portkeep"))
        .install(&Behaviour::version("v1"));
    assert!(starts(&app, "asked-health.service"));
    // The next connection would start it: balancers may send one.
    becomes(200, "ready up");
    assert!(ready().expect_answer().body.contains("\"resting\""));
    assert_eq!(
        app.generations(),
        Vec::<String>::new(),
        "to ask does not start it"
    );
    app.wait_for_version("v1", SOON);
    app.settled();
    assert!(ready().expect_answer().body.contains("\"generation\":1"));
    let unit = app.unit("-health.service");
    let pid = app.manager().property(&unit, "MainPID");
    if app.manager() == Manager::System {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let user = status
            .lines()
            .find(|line| line.starts_with("Uid:"))
            .expect("a user");
        assert!(!user.split_whitespace().any(|id| id == "0"), "{user}");
    }
    app.publish(&Behaviour::version("v2"));
    app.reload();
    assert!(ready().expect_answer().body.contains("\"generation\":2"));
    let _ = app.portkeep("maintenance", &["on"]).expect_success();
    becomes(503, "maint");
    let _ = app.portkeep("maintenance", &["off"]).expect_success();
    becomes(200, "ready up");
    app.settled();
    // It ends by itself, and is there again when it is asked.
    wait_until("it has ended", Duration::from_secs(60), || {
        (app.manager().property(&unit, "ActiveState") == "inactive").then_some(())
    });
    becomes(200, "ready up");
    // Killed in the middle of it, it is there again.
    let _ = app
        .manager()
        .systemctl(&["kill", "--signal=KILL", &unit])
        .expect_success();
    becomes(200, "ready up");
}

#[test]
fn an_app_that_learns_to_answer_is_asked_from_then_on() {
    let app = App::named("learns")
        .with("health", sockets())
        .with("healthBy", json!("portkeep"))
        .serve(&Behaviour::version("v1"));
    becomes(200, "ready up");
    app.install_again(&[("healthBy", Value::Null)]);
    assert!(starts(&app, "learns.service"));
    app.wait_for_version("v1", SOON);
    wait_until("only the app answers", SOON, || {
        let unit = app.unit("-health.service");
        (app.manager().property(&unit, "MainPID") == "0").then_some(())
    });
    becomes(200, "ready up");
    app.install_again(&[("healthBy", json!("portkeep"))]);
    becomes(200, "ready up");
}

#[test]
fn an_address_that_is_taken_is_named_and_nothing_is_installed() {
    let holder = Neighbour::listening(HTTP, "held");
    let directory = Manager::of_this_process().apps_directory().join("unlucky");
    fs::create_dir_all(&directory).expect("a directory");
    let spec = directory.join("portkeep.json");
    let text = json!({
        "name": "unlucky",
        "exec": ["/bin/true"],
        "listen": [{ "stream": "127.0.0.1:8080" }],
        "health": HTTP,
    });
    fs::write(&spec, text.to_string()).expect("a spec");
    let manager = Manager::of_this_process();
    let spec = spec.to_string_lossy();
    let refused = run(
        "portkeep",
        ["install", manager.flag(), "--now", "--spec", &spec],
    );
    let refused = refused.expect_failure();
    refused.expect_mention(&[HTTP]);
    refused.expect_mention(&[&format!("process {}", holder.pid())]);
    assert_eq!(manager.property("unlucky.socket", "LoadState"), "not-found");
    assert_eq!(
        manager.property("unlucky-health.socket", "LoadState"),
        "not-found"
    );
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn an_app_that_serves_gets_no_health_socket_that_is_taken_and_serves_on() {
    let app = App::named("lucky").serve(&Behaviour::version("v1"));
    let path = app.directory().join("portkeep.json");
    let text = fs::read(&path).expect("a spec");
    let mut spec: Value = serde_json::from_slice(&text).expect("JSON");
    let (units, events) = (units_of("lucky"), app.history().len());
    let holder = Neighbour::listening(HTTP, "held");
    spec["health"] = json!(HTTP);
    fs::write(&path, spec.to_string()).expect("a spec");
    let path = path.to_string_lossy();
    let flag = app.manager().flag();
    let refused = run("portkeep", ["install", flag, "--now", "--spec", &path]);
    refused.expect_mention(&[HTTP]);
    refused.expect_mention(&[&format!("process {}", holder.pid())]);
    let _ = refused.expect_failure();
    assert_eq!((units_of("lucky"), app.history().len()), (units, events));
    assert_eq!(app.get("/").version, "v1");
}

fn units_of(name: &str) -> String {
    let words = ["list-unit-files", "--no-legend", &format!("{name}*")];
    Manager::of_this_process().systemctl(&words).stdout
}
