//! Ctrl-C ends `portkeep dev`, whatever it waits for.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use support::session::Session;

/// Serves, and says when it is told to end, which it does not do.
const APP: &str = r#"import pathlib, signal, socket

signal.signal(signal.SIGTERM, lambda *_: pathlib.Path("PLACE/told").touch())
passed = socket.socket(fileno=3)
passed.setblocking(True)
while True:
    stream, _ = passed.accept()
    stream.recv(1024)
    stream.sendall(b"HTTP/1.0 200 OK\r\n\r\none")
    stream.close()
"#;

/// A build or a check that is still there long after it is told to end.
const STUBBORN: &str = r#"trap 'touch PLACE/told; sleep 4; touch PLACE/survived; exit 1' TERM
touch PLACE/begun
while :; do sleep 0.02; done
"#;

fn spec(more: &str) -> String {
    format!(
        r#"{{
            "name": "hello",
            "exec": ["/usr/bin/python3", "hello/app.py"],
            "listen": [{{ "stream": "127.0.0.1:8080" }}],
            "readiness": "accepts",
            "startTimeout": "1m"{more}
        }}"#
    )
}

/// Starts it with this spec. `PLACE` in the programs is the directory above the project.
fn start(spec: &str) -> Session {
    Session::start_where(&[("hello/portkeep.json", spec)], &[], |home| {
        for (name, text) in [("app.py", APP), ("stubborn.sh", STUBBORN)] {
            let text = text.replace("PLACE", home.to_str().unwrap());
            std::fs::write(home.join("hello").join(name), text).unwrap();
        }
    })
}

fn wait_for_file(session: &Session, name: &str) {
    session.wait(name, || session.path(name).exists());
}

#[test]
fn while_what_a_killed_one_left_running_is_ended() {
    let session = start(&spec(""));
    session.expect_answer("one");
    let mut session = session.kill_and_start_again(&[]);
    wait_for_file(&session, "told");
    session.interrupt();
    session.wait_for_end();
    let log = session.log();
    assert!(
        !log.contains("is open") && log.ends_with("stopping\n"),
        "{log}"
    );
    // Nothing was left that has the port.
    session.wait("it is gone", || session.get().is_err());
}

#[test]
fn while_a_build_or_a_check_does_not_want_to_end() {
    for what in [
        r#", "build": ["sh", "stubborn.sh"]"#,
        r#", "checks": ["sh stubborn.sh"]"#,
    ] {
        let mut session = start(&spec(what));
        wait_for_file(&session, "begun");
        session.interrupt();
        session.wait_for_end();
        assert!(!session.path("survived").exists(), "{}", session.log());
    }
}

#[test]
fn while_what_does_not_want_to_end_holds_up_another_session() {
    let checks = r#", "checks": ["sh stubborn.sh"]"#;
    let mut session = start(&spec(checks));
    wait_for_file(&session, "begun");
    let again = spec(&format!(r#"{checks}, "drainTimeout": "7s""#));
    session.write("hello/portkeep.json", &again);
    wait_for_file(&session, "told");
    session.interrupt();
    session.wait_for_end();
    let log = session.log();
    assert!(log.contains("everything is started again"), "{log}");
    assert!(
        !session.path("survived").exists() && log.ends_with("stopping\n"),
        "{log}"
    );
}
