//! `portkeep dev wait`: whether what is saved serves.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::process::Stdio;

use support::Home;
use support::session::{APP, Session, manifest};

const MANIFEST: &str = "hello/Cargo.toml";
const MAIN: &str = "hello/src/main.rs";
const SPEC: &str = "hello/portkeep.json";
const SCRIPT: &str = "hello/app.py";

/// Takes the passed socket, and SIGTERM for nothing: a session takes as long to end as the app may drain.
const STUBBORN: &str = r#"import signal, socket, sys

signal.signal(signal.SIGTERM, signal.SIG_IGN)
# start
passed = socket.socket(fileno=3)
passed.setblocking(True)
while True:
    stream, _ = passed.accept()
    stream.recv(1024)
    stream.sendall(b"HTTP/1.0 200 OK\r\n\r\none")
    stream.close()
"#;

fn spec(drain: &str, more: &str) -> String {
    format!(
        r#"{{
            "name": "hello",
            "exec": ["/usr/bin/python3", "hello/app.py"],
            "listen": [{{ "stream": "127.0.0.1:8080" }}],
            "readiness": "accepts",
            "drainTimeout": "{drain}"{more}
        }}"#
    )
}

fn wait(session: &Session, arguments: &[&str]) -> (i32, serde_json::Value) {
    let arguments = [&["dev", "wait", "--json"], arguments].concat();
    told(session.command(&arguments).output().unwrap())
}

fn told(output: std::process::Output) -> (i32, serde_json::Value) {
    let text = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&text);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        output.status.code().unwrap(),
        json.unwrap_or_else(|error| panic!("{error}: {text}{stderr}")),
    )
}

#[test]
fn after_it_succeeds_the_next_answer_is_what_was_saved() {
    let manifest = manifest("");
    let session = Session::start(&[(MANIFEST, &*manifest), (MAIN, APP)], &[]);
    session.wait("it can be asked", || {
        wait(&session, &["--project", "hello"]).0 == 0
    });
    for round in 0..20 {
        let version = format!("v{round}");
        session.write(MAIN, &APP.replace("\"one\"", &format!("\"{version}\"")));
        let (code, json) = wait(&session, &["--project", "hello/src"]);
        assert_eq!((code, &json["result"]), (0, &"serves".into()), "{json}");
        assert_eq!(session.get().unwrap(), version, "{json}\n{}", session.log());
        assert_eq!(
            (&json["app"], &json["version"]),
            (&"hello".into(), &1.into())
        );
    }
}

#[test]
fn what_cannot_be_built_or_started_is_told_with_its_place() {
    let manifest = manifest("");
    let session = Session::start(&[(MANIFEST, &*manifest), (MAIN, APP)], &[]);
    session.expect_answer("one");
    session.edit(MAIN, "// start", "missing!();");
    let (code, json) = wait(&session, &["--app", "hello"]);
    assert_eq!((code, &json["result"]), (1, &"fails".into()), "{json}");
    let first = &json["diagnostics"][0];
    assert_eq!(first["file"], "src/main.rs", "{json}");
    assert_eq!(
        (&first["level"], &first["line"]),
        (&"error".into(), &7.into()),
        "{json}"
    );
    assert_eq!(json["generation"], 1, "{json}");
    session.edit(MAIN, "missing!();", "panic!(\"no database\");");
    let (code, json) = wait(&session, &["--app", "hello"]);
    assert_eq!(code, 1, "{json}");
    assert!(json.to_string().contains("no database"), "{json}");
    session.edit(MAIN, "panic!(\"no database\");", "");
    let (code, json) = wait(&session, &["--app", "hello"]);
    assert_eq!(code, 0, "{json}");
    assert_eq!(session.get().unwrap(), "one");
}

#[test]
fn who_asks_while_everything_is_started_again_is_told_of_what_follows() {
    let files = [(SPEC, &*spec("1s", "")), (SCRIPT, STUBBORN)];
    let session = Session::start(&files, &[]);
    session.expect_answer("one");
    for (start, code, word) in [
        ("two = True", 0, "serves"),
        ("sys.exit('no database')", 1, "no database"),
    ] {
        session.expect_said("everything is started again", || {
            session.write(SCRIPT, &STUBBORN.replace("# start", start));
            session.write(SPEC, &spec(&format!("{}s", code + 2), ""));
        });
        let (told, json) = wait(&session, &["--project", "hello"]);
        assert_eq!(told, code, "{json}\n{}", session.log());
        assert!(json.to_string().contains(word), "{json}");
    }
}

#[test]
fn who_has_asked_before_is_told_of_what_follows_too() {
    let check = |name: &str| {
        format!(", \"checks\": [\"sh -c 'until test -e {name}; do sleep 0.02; done'\"]")
    };
    let files = [(SPEC, &*spec("1s", &check("never"))), (SCRIPT, STUBBORN)];
    let session = Session::start(&files, &[]);
    session.wait("it checks", || session.log().contains("checking"));
    let arguments = [
        "dev",
        "wait",
        "--json",
        "--app",
        "hello",
        "--timeout",
        "80s",
    ];
    let mut command = session.command(&arguments);
    let asks = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The listening socket, and the connection.
    let socket = session.path("runtime/portkeep-local/hello/dev");
    let socket = socket.canonicalize().unwrap();
    session.wait("it has asked", || {
        let sockets = fs::read_to_string("/proc/net/unix").unwrap();
        sockets.matches(socket.to_str().unwrap()).count() > 1
    });
    session.write("hello/now", "");
    session.write(SPEC, &spec("1s", &check("now")));
    let (code, json) = told(asks.wait_with_output().unwrap());
    assert_eq!(code, 0, "{json}\n{}", session.log());
    assert_eq!(session.get().unwrap(), "one");
    assert_eq!(session.count("everything is started again"), 1);
}

#[test]
fn a_time_that_is_over_is_told() {
    let manifest = manifest("checks = [\"sleep 1000\"]");
    let session = Session::start(&[(MANIFEST, &*manifest), (MAIN, APP)], &[]);
    session.wait("it checks", || {
        session.log().contains("checking: sleep 1000")
    });
    let (code, json) = wait(&session, &["--app", "hello", "--timeout", "200ms"]);
    assert_eq!((code, &json["result"]), (1, &"late".into()), "{json}");
}

#[test]
fn without_a_portkeep_dev_it_says_so() {
    let home = Home::new();
    fs::create_dir(home.path().join("hello")).unwrap();
    home.portkeep(&["dev", "wait", "--project", "hello"])
        .expect(1, &["no `portkeep dev` runs for", "start one"]);
    home.portkeep(&["dev", "wait", "--json", "--app", "hello"])
        .expect(1, &["\"notRunning\"", "no `portkeep dev` runs hello"]);
    home.portkeep(&["dev", "wait", "--project", "missing"])
        .expect(1, &["cannot open the project missing", "--project DIR"]);
}
