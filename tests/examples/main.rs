//! Every example, built and served by `portkeep dev`, with load while it is reloaded.
#![allow(missing_docs, reason = "the names of the tests say what they show")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod running;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::websocket::{Heard, WebSocket};
use portkeep_tests::{Connections, Load, wait_until};
use running::{Running, SOON, project};
use serde_json::json;

const RELOADS: u32 = 3;
const DURATION: Duration = Duration::from_secs(8);

/// What a server that is compiled is asked for, in requests a second.
const COMPILED: u32 = 2000;
/// And one that is interpreted.
const INTERPRETED: u32 = 300;

/// Who wants to see how it is done reads one screen.
#[test]
fn each_is_short() {
    for file in [
        "hello/src/main.rs",
        "../crates/portkeep/examples/plain_hyper.rs",
        "../crates/portkeep-s2n/examples/hello_tls.rs",
        "frameworks/actix-web/src/main.rs",
        "frameworks/tonic/src/main.rs",
        "go/main.go",
        "node/hello.mjs",
        "python/hello.py",
    ] {
        let lines = fs::read_to_string(project(file)).unwrap().lines().count();
        assert!(lines <= 60, "{file} has {lines} lines");
    }
}

#[test]
fn axum_with_the_library() {
    survives(&Running::start("hello", &project("hello")), COMPILED);
}

#[test]
fn plain_hyper() {
    let directory = tempfile::tempdir().unwrap();
    let spec = json!({
        "name": "hello-hyper",
        // In PATH: an example of a crate is no project.
        "exec": ["plain-hyper"],
        "listen": [{ "stream": "127.0.0.1:8080" }],
    });
    fs::write(directory.path().join("portkeep.json"), spec.to_string()).unwrap();
    survives(&Running::start("hello-hyper", directory.path()), COMPILED);
}

/// WebSockets outlive each reload, and everybody hears everything once and in order.
#[test]
fn chat() {
    let directory = tempfile::tempdir().unwrap();
    let spec = json!({
        "name": "chat",
        // In PATH: an example of a crate is no project.
        "exec": ["chat"],
        "listen": [{ "stream": "127.0.0.1:8080" }],
        // Where its log is, if it has no state directory.
        "environment": { "TMPDIR": directory.path() },
    });
    fs::write(directory.path().join("portkeep.json"), spec.to_string()).unwrap();
    let running = Running::start("chat", directory.path());
    let mut people =
        ["ann", "bob"].map(|name| WebSocket::connect(running.address(), &format!("/ws?{name}")));
    let mut said = 0;
    for reload in 0..=RELOADS {
        for _ in 0..20 {
            said += 1;
            people[said % 2].say(&said.to_string());
            let name = ["ann", "bob"][said % 2];
            for person in &mut people {
                assert_eq!(person.hear(), Heard::Text(format!("{name}: {said}")));
            }
        }
        if reload < RELOADS {
            running.reload();
        }
    }
    println!(
        "measured: chat, {RELOADS} reloads: {said} lines, each heard once, on the first connections"
    );
    running.interrupt();
}

/// One connection of curl's, which counts how many it has made.
#[test]
fn tls_that_ends_in_the_app() {
    let directory = tempfile::tempdir().unwrap();
    let spec = json!({
        "name": "hello-tls",
        // In PATH: an example of a crate is no project.
        "exec": ["hello-tls"],
        "listen": [{ "stream": "127.0.0.1:8443" }],
    });
    fs::write(directory.path().join("portkeep.json"), spec.to_string()).unwrap();
    let running = Running::start("hello-tls", directory.path());
    let port = running.address().port();
    let requests = 50 * DURATION.as_secs();
    let client = Command::new("curl")
        .args(["--insecure", "--silent", "--show-error", "--fail"])
        .args(["--http1.1", "--rate", "50/s"])
        .args(["--write-out", "%{stderr}%{num_connects}\n"])
        .arg(format!("https://127.0.0.1:{port}/?[1-{requests}]"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    reload(&running, || ());
    let finished = client.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&finished.stderr);
    assert!(finished.status.success(), "{complaint}");
    let connects = complaint.lines().map(|line| line.parse::<u32>().unwrap());
    let connects: u32 = connects.sum();
    let said = String::from_utf8_lossy(&finished.stdout);
    let processes: BTreeSet<_> = said.lines().collect();
    println!(
        "measured: hello-tls, {RELOADS} reloads: {requests} requests on {connects} connection"
    );
    assert_eq!(connects, 1);
    assert_eq!(processes.len() as u32, RELOADS + 1, "{processes:?}");
    running.interrupt();
}

#[test]
fn actix_web() {
    let running = Running::start("hello-actix", &project("frameworks/actix-web"));
    survives(&running, COMPILED);
}

#[test]
fn go() {
    survives(&Running::start("hello-go", &project("go")), COMPILED);
}

#[test]
fn node() {
    survives(&Running::start("hello-node", &project("node")), INTERPRETED);
}

#[test]
fn python() {
    let running = Running::start("hello-python", &project("python"));
    survives(&running, INTERPRETED);
    running.interrupt();
}

/// Calls over HTTP/2, by a pooled client that follows a GOAWAY.
#[test]
fn tonic() {
    let running = Running::start("hello-tonic", &project("frameworks/tonic"));
    let client = calls(running.address());
    reload(&running, || ());
    let finished = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&finished.stdout);
    let complaint = String::from_utf8_lossy(&finished.stderr);
    println!("measured: tonic, {RELOADS} reloads: {said}");
    assert!(finished.status.success(), "{said}\n{complaint}");
    let processes = format!("by {} processes, 0 failed", RELOADS + 1);
    assert!(said.contains(&processes), "{said}");
}

fn calls(address: SocketAddr) -> std::process::Child {
    // In PATH, as the suite puts it there.
    Command::new("tonic-client")
        .args([&address.to_string(), &DURATION.as_secs().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("tonic-client (`tests/run examples` brings it): {error}"))
}

/// Reloads, spread over the time of the load, and looks after each.
fn reload(running: &Running, mut look: impl FnMut()) {
    let start = Instant::now();
    let pace = DURATION / (RELOADS + 1);
    for number in 1..=RELOADS {
        thread::sleep((start + pace * number).saturating_duration_since(Instant::now()));
        running.reload();
        look();
    }
}

/// No request fails, on connections that are kept and on new ones.
fn survives(running: &Running, rate: u32) {
    for connections in [Connections::KeepAlive, Connections::OnePerRequest] {
        let mut processes = BTreeSet::from([running.answering_process()]);
        let mut load = Load::new(running.address(), DURATION, connections)
            .rate(rate)
            .start();
        reload(running, || {
            // The old one is asked to end after the new one is READY: it may answer once more.
            let new = wait_until("the new process answers", SOON, || {
                let process = running.answering_process();
                (!processes.contains(&process)).then_some(process)
            });
            processes.insert(new);
        });
        assert!(load.is_running(), "the load ended by itself");
        let report = load.finish();
        println!(
            "measured: {}, {RELOADS} reloads, {connections:?}: {} requests, {} failed, slowest {:?}",
            running.name(),
            report.requests,
            report.failed,
            report.slowest
        );
        // Less than what is asked for, where other work takes the processors: it is load all the same.
        report.expect_lossless(u64::from(rate) * DURATION.as_secs() / 4);
    }
}
