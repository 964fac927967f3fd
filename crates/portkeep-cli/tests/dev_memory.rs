//! Resident memory of `portkeep dev`: after many rounds, and after a flood of output, which holds up nobody.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_macros,
    reason = "a test fails by panicking"
)]

mod support;

use support::session::{ITSELF, Session};

const MIB: u64 = 1 << 20;
const SPEC: &str = r#"{
    "name": "hello",
    "exec": ["/usr/bin/python3", "app.py"],
    "listen": [{ "stream": "127.0.0.1:8080" }],
    "files": ["app.py"],
    "readiness": "accepts",
    "startTimeout": "10m"
}"#;
const APP: &str = r#"import signal, socket, sys

VERSION = "v0"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
# start
passed = socket.socket(fileno=3)
passed.setblocking(True)
while True:
    stream, _ = passed.accept()
    stream.settimeout(5)
    try:
        stream.recv(1024)
        stream.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + VERSION.encode())
    except OSError:
        pass
    stream.close()
"#;

fn start() -> Session {
    let files = [("hello/portkeep.json", SPEC), ("hello/app.py", APP)];
    let session = Session::start(&files, &[]);
    session.expect_answer("v0");
    // It may answer before anybody has seen that it accepts; what is saved until then overtakes it.
    session.wait("it serves", || session.count("generation 1 serves") > 0);
    session
}

#[test]
fn two_hundred_rounds_leave_nothing_behind() {
    let session = start();
    let mut early = 0;
    for round in 1..=200 {
        let version = format!("v{round}");
        session.write("hello/app.py", &APP.replace("v0", &version));
        session.expect_answer(&version);
        if round == 40 {
            early = session.resident();
        }
    }
    let (early, late) = (early / MIB, session.resident() / MIB);
    println!("after 40 rounds {early} MiB, after 200 rounds {late} MiB");
    assert!(
        late < early + 24,
        "after 40 rounds {early} MiB, after 200 rounds {late} MiB"
    );
}

/// What the app does before it takes the socket: 500 MB of lines of this length.
fn flood(length: usize) -> String {
    let line = length - 1;
    format!(
        "piece = ({line} * \"x\" + \"\\n\") * max(1, 65000 // {length})\n\
         for _ in range(500000000 // len(piece)):\n    sys.stdout.write(piece)\nsys.stdout.flush()\n"
    )
}

/// The app, which does this before it takes the socket.
fn app(first: &str, version: &str) -> String {
    APP.replace("# start\n", first).replace("v0", version)
}

#[track_caller]
fn expect_little_memory(session: &Session, when: &str) {
    let resident = session.resident() / MIB;
    println!("{resident} MiB {when}");
    assert!(resident < 100, "{resident} MiB {when}");
}

#[test]
fn a_flood_of_output_holds_up_nobody_and_is_not_kept() {
    let session = start();
    for (length, version) in [(100, "v1"), (65_000, "v2"), (2, "v3")] {
        session.write("hello/app.py", &app(&flood(length), version));
        session.expect_answer(version);
        expect_little_memory(&session, &format!("after lines of {length} bytes"));
    }
    // What we say ourselves is there, whatever the app writes.
    session.wait("it is told", || session.count("generation 4 serves") > 0);
    assert!(session.count("lines of the app are not shown") > 0);
}

#[test]
fn an_app_that_floods_comes_up_while_the_terminal_takes_nothing() {
    let files = [
        ("hello/portkeep.json", SPEC),
        ("hello/app.py", &app(&flood(100), "v1")),
    ];
    let mut session = Session::start_before_a_stopped_terminal(&files, &[]);
    session.expect_answer("v1");
    expect_little_memory(&session, "and nothing was shown");
    session.interrupt();
    session.wait_for_end();
}

#[test]
fn a_panic_is_shown_at_the_end_of_a_flood_and_before_the_rest_of_one() {
    let session = start();
    let panic = "sys.stderr.write(\"thread 'main' panicked at src/main.rs:NR:1:\\n\")\n";
    let rest = "sys.stdout.write(100000 * (99 * \"y\" + \"\\n\"))\n";
    for (nr, rest) in [("1", ""), ("2", rest)] {
        let panic = panic.replace("NR", nr);
        let first = format!("{}{panic}{rest}sys.exit(101)\n", flood(100));
        let before = session.count("did not take over");
        session.write("hello/app.py", &app(&first, "v1"));
        session.wait("it fails", || session.count("did not take over") > before);
        let words = format!("panicked at src/main.rs:{nr}:1:");
        session.wait("the panic is shown", || {
            let log = session.log();
            let (_, told) = log.rsplit_once("did not take over").unwrap();
            told.contains(&words)
        });
    }
    assert_eq!(session.get().unwrap(), "v0");
}

#[test]
fn an_endless_flood_is_overtaken_and_ended() {
    let mut session = start();
    let endless = "while True:\n    sys.stdout.write(1000 * (99 * \"x\" + \"\\n\"))\n";
    let endless = app(endless, "v1");
    session.expect_said("lines of the app are not shown", || {
        session.write("hello/app.py", &endless);
    });
    assert_eq!(session.get().unwrap(), "v0");
    // What is saved meanwhile overtakes it.
    session.write("hello/app.py", &app("", "v2"));
    session.expect_answer("v2");
    session.expect_said("lines of the app are not shown", || {
        session.write("hello/app.py", &endless);
    });
    // Its start may take ten minutes.
    session.interrupt();
    session.wait_for_end();
}

#[test]
fn a_flood_of_an_app_that_binds_its_port_itself_is_bounded_too() {
    let manifest = "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
                    [package.metadata.portkeep]\nstartTimeout = \"10m\"\n";
    let main = "hello/src/main.rs";
    let files = [("hello/Cargo.toml", manifest), (main, ITSELF)];
    let mut session = Session::start_self_binding(&files, &[]);
    session.expect_answer("one");
    session.wait("it is told", || {
        session.log().contains("is open; the app opened it itself")
    });
    let address = session.address().to_string();
    // Before it listens, it writes so many pieces of 64 kB, and does that.
    let write = |version: &str, pieces: &str, then: &str| {
        let flood = format!(
            "let piece = format!(\"{{:x>99}}\\n\", \"\").repeat(640);\n    \
             for _ in {pieces} {{ std::io::stdout().write_all(piece.as_bytes()).unwrap(); }}\n    {then}"
        );
        let app = ITSELF
            .replace("// start", &flood)
            .replace("\"one\"", &format!("{version:?}"));
        session.write(main, &app.replace("HERE", &address));
    };
    // The version before returns.
    session.expect_said("panicked at src/main.rs", || {
        write("v1", "0..8000", "panic!(\"no database\");");
    });
    session.expect_answer("one");
    write("v2", "0..8000", "");
    session.expect_answer("v2");
    expect_little_memory(&session, "after a flood of what binds its port itself");
    session.expect_said("lines of the app are not shown", || write("v3", "0..", ""));
    expect_little_memory(&session, "in an endless flood");
    session.interrupt();
    session.wait_for_end();
}
