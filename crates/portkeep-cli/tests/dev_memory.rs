//! Resident memory of `portkeep dev`: after many rounds, and after a flood of output.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_macros,
    reason = "a test fails by panicking"
)]

mod support;

use support::session::Session;

const MIB: u64 = 1 << 20;
const SPEC: &str = r#"{
    "name": "hello",
    "exec": ["/usr/bin/python3", "app.py"],
    "listen": [{ "stream": "127.0.0.1:8080" }],
    "files": ["app.py"],
    "readiness": "accepts"
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

#[test]
fn a_flood_of_output_is_not_kept() {
    let session = start();
    // 100 MB of lines, and 20 MB without an end of a line.
    let flood = "for _ in range(1000):\n    sys.stdout.write((9999 * \"x\" + \"\\n\") * 10)\n\
                 for _ in range(20):\n    sys.stdout.write(\"y\" * 1000000)\nsys.stdout.flush()\n";
    let app = APP.replace("# start\n", flood).replace("v0", "v1");
    let before = session.resident() / MIB;
    session.write("hello/app.py", &app);
    session.expect_answer("v1");
    let after = session.resident() / MIB;
    println!("before {before} MiB, after 120 MB of output {after} MiB");
    assert!(
        after < before + 96,
        "before {before} MiB, after {after} MiB"
    );
}
