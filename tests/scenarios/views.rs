//! What people are shown: `status`, `logs`, `doctor` and `port`.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour, Mode, Outcome, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);
const COLUMNS: usize = 80;

#[track_caller]
fn json(finished: Finished) -> Value {
    let text = &finished.stdout;
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {finished}"))
}

/// The codes of doctor's findings about the app, and its exit code.
#[track_caller]
fn diagnosis(app: &App) -> (Vec<String>, Option<i32>) {
    let finished = app.portkeep("doctor", &["--json"]);
    let code = finished.code;
    let findings = json(finished)["findings"].as_array().unwrap().clone();
    let of_app = findings.iter().filter(|one| !one["app"].is_null());
    let codes = of_app.map(|one| one["code"].as_str().unwrap().to_owned());
    (codes.collect(), code)
}

#[test]
fn status_tells_what_drains_and_how_much_is_left() {
    let app = App::named("shown").serve(&Behaviour::version("v1"));
    let address = app.address();
    let slow = app.ask("/slow?ms=6000");
    app.publish(&Behaviour::version("v2"));
    app.reload();

    let shown = json(app.portkeep("status", &["--json"]));
    let app_json = &shown[0];
    assert_eq!(app_json["current"], 2, "{shown:#}");
    assert_eq!(app_json["listen"][0], address.to_string());
    let phases: Vec<_> = app_json["generations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["phase"].clone())
        .collect();
    assert_eq!(phases, ["draining", "serving"], "{shown:#}");
    assert!(
        app_json["generations"][0]["drainsUntil"].is_string(),
        "{shown:#}"
    );
    assert!(
        app_json["generations"][1]["cpuNanoseconds"].as_u64() > Some(100_000),
        "{shown:#}"
    );

    let human = app.portkeep("status", &[]).expect_success();
    human.expect_mention(&["s left"]);
    human.expect_mention(&["generation 2    current"]);
    let line_of = |words: &str| human.stdout.lines().position(|line| line.contains(words));
    assert!(line_of("current") < line_of("draining"), "{human}");
    for line in human.stdout.lines() {
        assert!(
            line.chars().count() <= COLUMNS && !line.contains('\u{1b}'),
            "{line:?}"
        );
    }
    let late = app.portkeep("status", &["--wait", "--timeout", "50ms"]);
    assert_eq!(late.code, Some(1), "{late}");
    late.expect_mention(&["generation 1 of shown still drains"]);
    let _ = app.portkeep("status", &["--wait"]).expect_success();
    assert_eq!(app.generations(), [app.unit("@2.service")]);
    assert_eq!(slow.outcome().version(), Some("v1"));
    let refused = app.portkeep("status", &["--timeout", "1s"]);
    assert_eq!(refused.code, Some(2), "{refused}");
}

/// A terminal of so many columns, by `script`.
#[test]
fn a_narrow_terminal_shows_all_of_it() {
    let listen = serde_json::json!([
        { "name": "http", "stream": "127.0.0.1:8080" },
        { "name": "admin", "stream": "127.0.0.1:8082" },
    ]);
    let app = App::named("narrow")
        .with("listen", listen)
        .serve(&Behaviour::version("v1"));
    let shown = json(app.portkeep("status", &["--json"]));
    let sockets: Vec<_> = shown[0]["sockets"].as_array().unwrap().iter().collect();
    let units: Vec<_> = sockets
        .iter()
        .map(|one| one["unit"].as_str().unwrap())
        .collect();
    let expected = ["narrow.socket", "narrow-admin.socket", "narrow-move.socket"];
    assert_eq!(units, expected, "{shown:#}");
    let status = format!(
        "stty cols 50; portkeep status {} narrow",
        app.manager().flag()
    );
    let told = run("script", ["--quiet", "--command", &status, "/dev/null"]).expect_success();
    for line in told.stdout.lines() {
        assert!(line.trim_end().chars().count() <= 50, "{line:?} in {told}");
    }
    let words: Vec<_> = told.stdout.split_whitespace().collect();
    for word in ["127.0.0.1:8082", "current", "CPU", "handed-over", "ms"] {
        let is_there = words.iter().any(|one| one.contains(word));
        assert!(is_there, "{word} is missing in {told}");
    }
}

#[test]
fn logs_tell_the_generation() {
    let app = App::named("told").serve(&Behaviour::version("v1"));
    let mut follower = Command::new("timeout");
    follower.args([
        "20",
        "portkeep",
        "logs",
        app.manager().flag(),
        "told",
        "-f",
        "--json",
    ]);
    let mut follower = follower.stdout(Stdio::piped()).spawn().unwrap();
    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    let _ = app.systemctl("reload").expect_failure();

    let words = "this build exits with 3";
    let line = wait_until("the journal has it", SOON, || {
        let shown = app
            .portkeep("logs", &["-g", "2", "--json"])
            .expect_success();
        let line = shown.stdout.lines().find(|line| line.contains(words))?;
        Some(serde_json::from_str::<Value>(line).unwrap())
    });
    assert_eq!(line["generation"], 2, "{line}");
    assert_eq!(line["unit"], app.unit("@2.service"), "{line}");
    let all = app.portkeep("logs", &[]).expect_success();
    assert!(
        all.stdout
            .lines()
            .any(|line| line.contains("2  probe: this build")),
        "{all}"
    );
    let first = app
        .portkeep("logs", &["-g", "1", "-n", "500"])
        .expect_success();
    assert!(!first.stdout.contains(words), "{first}");

    // It has come to the follower as well, which ends when it is no longer listened to.
    let followed = BufReader::new(follower.stdout.take().unwrap()).lines();
    let followed = followed
        .map_while(Result::ok)
        .find(|line| line.contains(words));
    assert!(followed.is_some(), "the follower ended without it");
    follower.kill().unwrap();
    follower.wait().unwrap();
}

/// Whatever is tried again and again is told in one line.
#[test]
fn the_history_folds_what_repeats() {
    let app = App::named("again").serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    for _ in 0..4 {
        let _ = app.portkeep("reload", &[]).expect_failure();
    }
    let failed = |events: &Value| {
        let events = events.as_array().unwrap().iter();
        let failed = events.filter(|event| event["result"] == "failed");
        failed.cloned().collect::<Vec<_>>()
    };
    let folded = failed(&json(app.portkeep("history", &["--json"])));
    assert_eq!(folded.len(), 1, "{folded:#?}");
    assert_eq!(folded[0]["count"], 4, "{folded:#?}");
    assert_ne!(folded[0]["firstAt"], folded[0]["at"], "{folded:#?}");
    let all = failed(&json(app.portkeep("history", &["--json", "--all"])));
    assert_eq!(all.len(), 4, "{all:#?}");
    let told = app.portkeep("history", &[]).expect_success();
    assert_eq!(told.stdout.matches("failed").count(), 1, "{told}");
    told.expect_mention(&["(4 times since "]);
}

#[test]
fn doctor_says_what_is_wrong_and_what_helps() {
    let app = App::named("ill").serve(&Behaviour::version("v1"));
    assert_eq!(diagnosis(&app), (vec![], Some(0)));

    app.remove_executable();
    assert_eq!(diagnosis(&app), (vec!["executable".to_owned()], Some(4)));
    app.publish(&Behaviour::version("v1"));
    assert_eq!(diagnosis(&app), (vec![], Some(0)));

    // Somebody edits the address and reloads systemd: the socket unit stays "active" without a socket.
    let unit = app.unit(".socket");
    let fragment = app.manager().property(&unit, "FragmentPath");
    let text = fs::read_to_string(&fragment).unwrap();
    fs::write(&fragment, text.replace(":8080", ":8090")).unwrap();
    let (codes, code) = diagnosis(&app);
    assert!(
        codes.contains(&"daemon-reload".to_owned()) && code == Some(4),
        "{codes:?}"
    );
    let _ = app.manager().systemctl(&["daemon-reload"]).expect_success();
    let (codes, code) = diagnosis(&app);
    for expected in [
        "socket-without-descriptor",
        "listen-changed",
        "outdated-units",
    ] {
        assert!(
            codes.contains(&expected.to_owned()),
            "{expected} is missing in {codes:?}"
        );
    }
    assert_eq!(code, Some(4));

    // What it says helps.
    fs::write(&fragment, text).unwrap();
    let manager = app.manager();
    for command in [
        vec!["daemon-reload"],
        vec!["stop", "ill.target", "ill@*.service"],
    ] {
        let _ = manager.systemctl(&command).expect_success();
    }
    // The target takes the socket along, but `systemctl` does not wait for that; a start before its end would put it off.
    wait_until("the socket is stopped", Duration::from_secs(10), || {
        (manager.property(&unit, "ActiveState") == "inactive").then_some(())
    });
    let _ = manager.systemctl(&["start", "ill.socket"]).expect_success();
    assert_eq!(app.get("/").version, "v1");
    app.settled();
    assert_eq!(diagnosis(&app), (vec![], Some(0)));
}

#[test]
fn doctor_names_who_took_the_port() {
    let app = App::named("taken").serve(&Behaviour::version("v1"));
    let _ = app
        .manager()
        .systemctl(&["stop", "taken.target"])
        .expect_success();
    wait_until("the port is closed", SOON, || {
        (app.request("/") == Outcome::Refused).then_some(())
    });
    let thief = TcpListener::bind(app.address()).unwrap();
    let finished = app.portkeep("doctor", &[]);
    finished.expect_mention(&[&format!("process {}", std::process::id())]);
    assert_eq!(finished.code, Some(4));
    drop(thief);
    let (codes, _) = diagnosis(&app);
    assert_eq!(codes, ["port-closed"]);
}

#[test]
fn port_names_the_unit_and_frees_the_port() {
    let app = App::named("holds").serve(&Behaviour::version("v1"));
    let shown = json(run("portkeep", ["port", "8080", "--json"]));
    assert_eq!(shown["socketUnit"]["name"], "holds.socket", "{shown:#}");
    assert_eq!(shown["socketUnit"]["app"], "holds", "{shown:#}");
    let units: Vec<_> = shown["holders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["unit"].clone())
        .collect();
    assert!(units.contains(&"holds@1.service".into()), "{shown:#}");
    run("portkeep", ["port", "127.0.0.1:8080"])
        .expect_success()
        .expect_mention(&["holds.socket"]);

    let freed = run("portkeep", ["port", "8080", "--free"]).expect_success();
    freed.expect_mention(&["stopping holds.target"]);
    assert_eq!(app.request("/"), Outcome::Refused);
    run("portkeep", ["port", "8080"])
        .expect_success()
        .expect_mention(&["nobody listens"]);
}

#[test]
fn a_process_that_holds_a_port_is_asked_to_stop() {
    let address = "127.0.0.1:8081";
    let mut nc = Command::new("systemd-socket-activate")
        .args(["--listen", address, "/bin/true"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("it listens", SOON, || {
        run("portkeep", ["port", address])
            .stdout
            .contains("is held")
            .then_some(())
    });
    let freed = run("portkeep", ["port", address, "--free"]).expect_success();
    freed.expect_mention(&[&format!("SIGTERM to process {}", nc.id())]);
    assert!(!nc.wait().unwrap().success());
}
