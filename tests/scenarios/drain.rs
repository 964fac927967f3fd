//! An app that is taken out: load balancers are told first, then connections end in good order, and nobody is refused.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use portkeep_tests::command::Finished;
use portkeep_tests::{App, Behaviour, Mode, Outcome, request, wait_until};
use serde_json::{Value, json};

use crate::metrics;

const SOON: Duration = Duration::from_secs(30);
const HEALTH: &str = "127.0.0.1:8090";

fn health() -> SocketAddr {
    HEALTH.parse().expect("an address")
}

fn ready() -> Outcome {
    request(health(), "/readyz", Duration::from_secs(10))
}

#[track_caller]
fn told(finished: Finished) -> Value {
    let finished = finished.expect_success();
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"))
}

/// A connection that is kept.
struct Kept(TcpStream);

impl Kept {
    fn connect(app: &App) -> Self {
        let stream = TcpStream::connect(app.address()).expect("never refused");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        let mut kept = Self(stream);
        assert!(!kept.ask().contains("connection: close"));
        kept
    }

    fn ask(&mut self) -> String {
        self.0
            .write_all(b"GET / HTTP/1.1\r\nHost: kept\r\n\r\n")
            .expect("it is sent");
        let (mut answer, mut buffer) = (String::new(), [0; 4096]);
        while !answer.contains("\r\n\r\n") {
            let length = self.0.read(&mut buffer).expect("it is answered");
            assert_ne!(length, 0, "cut: {answer}");
            answer += &String::from_utf8_lossy(&buffer[..length]).to_lowercase();
        }
        answer
    }

    /// The server ends it, in good order.
    fn ends(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("no reset");
    }
}

fn app(name: &str, by: &str) -> App {
    App::named(name)
        .with("health", json!(HEALTH))
        .with("healthBy", json!(by))
        .with("linger", json!("500ms"))
        .serve(&Behaviour::version("v1"))
}

#[test]
fn it_is_told_first_then_connections_end_and_late_requests_are_answered() {
    let app = app("out", "app");
    let watcher = app.watch();
    let mut kept = Kept::connect(&app);
    let first = told(app.portkeep("drain", &["--grace", "2s", "--json"]));
    assert_eq!(
        (&first["changed"], &first["drained"]),
        (&json!(true), &json!(true)),
        "{first}"
    );
    assert_eq!(first["graceMilliseconds"], json!(2000));
    assert_eq!(ready(), Outcome::Status(503), "at once");
    // Nothing changes, and it succeeds.
    let again = told(app.portkeep("drain", &["--grace", "1m", "--json"]));
    assert_eq!(
        (&again["changed"], &again["since"]),
        (&json!(false), &first["since"]),
        "{again}"
    );
    kept.ends();
    let waited = told(app.portkeep("drain", &["--wait", "--json"]));
    assert_eq!(
        (&waited["changed"], &waited["connections"]),
        (&json!(false), &json!(0)),
        "{waited}"
    );
    wait_until("late requests are answered and sent away", SOON, || {
        let mut late = TcpStream::connect(app.address()).expect("never refused");
        late.write_all(b"GET / HTTP/1.1\r\nHost: late\r\n\r\n")
            .expect("it is sent");
        late.set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        let mut answer = [0; 4096];
        let length = late.read(&mut answer).expect("it is answered");
        let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
        answer.contains("connection: close").then_some(())
    });
    for verb in ["status", "doctor"] {
        let told = app.portkeep(verb, &[]);
        assert_eq!(told.code, Some(0), "{told}");
        told.expect_mention(&["taken out"]);
        told.expect_mention(&["portkeep undrain"]);
    }
    let back = told(app.portkeep("undrain", &["--json"]));
    assert_eq!(
        (&back["changed"], &back["drained"]),
        (&json!(true), &json!(false)),
        "{back}"
    );
    assert!(matches!(ready(), Outcome::Answer(_)));
    let back = told(app.portkeep("undrain", &["--json"]));
    assert_eq!(back["changed"], json!(false));
    wait_until("connections are kept again", SOON, || {
        let mut stream = Kept(TcpStream::connect(app.address()).ok()?);
        (!stream.ask().contains("connection: close")).then_some(())
    });
    app.portkeep("doctor", &[])
        .expect_mention(&["all is well", "nothing"]);
    let observed = watcher.finish();
    observed.expect_lossless();
}

#[test]
fn it_stays_taken_out_through_a_handover_a_crash_a_stop_and_a_page() {
    let app = app("stays-out", "app");
    let _ = app.portkeep("drain", &["--grace", "0s"]).expect_success();
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_version("v2", SOON);
    assert_eq!(ready(), Outcome::Status(503));
    app.kill_and_wait("@2.service", "KILL");
    wait_until("it answers", SOON, || {
        (ready() == Outcome::Status(503)).then_some(())
    });
    let _ = app.systemctl("stop").expect_success();
    let is_active = || app.manager().property(&app.unit(".service"), "ActiveState") == "active";
    // The version that is about to stop may answer first, which starts nothing.
    wait_until("it is started by who asks", SOON, || {
        (ready() == Outcome::Status(503) && is_active()).then_some(())
    });
    let _ = app.portkeep("undrain", &[]).expect_success();
    wait_until("it is put back", SOON, || {
        matches!(ready(), Outcome::Answer(_)).then_some(())
    });
}

#[test]
fn it_is_in_the_history_and_counted_through_handovers() {
    let app = app("counted-out", "app");
    let manager = app.manager();
    let labels = format!("app=\"counted-out\",manager=\"{}\"", &manager.flag()[2..]);
    let gauge = |value: u8| {
        let line = format!("portkeep_drained{{{labels}}} {value}\n");
        let text = metrics::text(manager, "counted-out");
        assert!(text.contains(&line), "{text}");
        metrics::counters(&text)
    };
    let before = gauge(0);
    let _ = app.portkeep("drain", &["--grace", "0s"]).expect_success();
    let out = gauge(1);
    app.publish(&Behaviour::version("v2"));
    app.reload();
    let handed_over = gauge(1);
    let _ = app.portkeep("undrain", &[]).expect_success();
    let _ = app.portkeep("drain", &[]).expect_success();
    let _ = app.portkeep("undrain", &[]).expect_success();
    let after = gauge(0);
    for (earlier, later) in [
        (&before, &out),
        (&out, &handed_over),
        (&handed_over, &after),
    ] {
        metrics::expect_none_fell(earlier, later);
    }
    let asked = format!("portkeep_taken_out_total{{{labels},cause=\"asked\"}}");
    let times = [&before, &out, &handed_over, &after].map(|counters| counters[&asked].to_string());
    assert_eq!(times, ["0", "1", "1", "2"]);
    let words = ["taken-out", "put-back"];
    let history = app.history().into_iter();
    let told: Vec<_> = history
        .filter(|event| words.iter().any(|word| event["event"] == *word))
        .collect();
    let kinds: Vec<_> = told.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(
        kinds,
        ["taken-out", "put-back", "taken-out", "put-back"],
        "{told:?}"
    );
    assert_eq!(
        (&told[0]["cause"], &told[0]["generation"]),
        (&json!("asked"), &json!(1))
    );
    assert_eq!(
        (&told[1]["since"], &told[1]["generation"]),
        (&told[0]["at"], &json!(2))
    );
    app.portkeep("history", &[]).expect_mention(&["taken out"]);
}

#[test]
fn a_page_says_both_that_it_is_taken_out_and_that_nothing_serves() {
    let app = App::named("out-and-down")
        .with("health", json!(HEALTH))
        .install(&Behaviour::version("v1").mode(Mode::Exit));
    app.wait_for_status(503, SOON);
    let _ = app.portkeep("drain", &["--grace", "0s"]).expect_success();
    let mut stream = TcpStream::connect(HEALTH).expect("never refused");
    stream
        .write_all(b"GET /readyz HTTP/1.0\r\n\r\n")
        .expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is answered");
    assert!(
        answer.contains("\"drained\":true") && answer.contains("\"down\""),
        "{answer}"
    );
    // Who comes late has the page.
    app.wait_for_status(503, SOON);
    app.publish(&Behaviour::version("v2"));
    app.wait_for_version("v2", SOON);
    assert_eq!(ready(), Outcome::Status(503));
}

#[test]
fn an_app_that_is_answered_for_is_taken_out_too() {
    let app = app("out-by-us", "portkeep");
    assert!(matches!(ready(), Outcome::Answer(_)));
    let _ = app.portkeep("drain", &[]).expect_success();
    assert_eq!(ready(), Outcome::Status(503));
    let _ = app.systemctl("stop").expect_success();
    assert_eq!(ready(), Outcome::Status(503), "also at rest");
    let _ = app.portkeep("undrain", &[]).expect_success();
    assert!(matches!(ready(), Outcome::Answer(_)));
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let app = app("not-out", "app");
    for (args, code, words) in [
        (&["--grace", "90s"][..], 2, "1m 30s"),
        (&["--grace", "1h"], 2, "less than that"),
        (&["--grace", "5"], 2, "5s"),
    ] {
        let refused = app.portkeep("drain", args);
        assert_eq!(refused.code, Some(code), "{refused}");
        refused.expect_mention(&[words]);
    }
    assert!(matches!(ready(), Outcome::Answer(_)));
    let flag = app.manager().flag();
    for verb in ["drain", "undrain"] {
        let missing = portkeep_tests::command::run("portkeep", [verb, flag, "no-such-app"]);
        assert_eq!(missing.code, Some(2), "{missing}");
        missing.expect_mention(&["has no app"]);
    }
    // Who is connected and does not end holds up whoever waits, for as long as a drain may take.
    app.install_again(&[("drainTimeout", json!("1s"))]);
    let slow = app.ask("/slow?ms=20000");
    let waited = app.portkeep("drain", &["--grace", "0s", "--wait"]);
    assert_eq!(waited.code, Some(4), "{waited}");
    waited.expect_mention(&["still open"]);
    drop(slow);
}
