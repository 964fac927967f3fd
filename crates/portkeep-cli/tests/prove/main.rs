//! `portkeep prove` counts exactly what its servers did: each of them knows how often it broke what.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod server;

use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::Value;
use server::{Http, Server};

struct Proof {
    json: Value,
    code: Option<i32>,
}

impl Proof {
    fn of(url: &str, options: &[&str]) -> Self {
        let output = Command::new(env!("CARGO_BIN_EXE_portkeep"))
            .args(["prove", url, "--times", "2", "--every", "200ms", "--json"])
            .args(options)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let json = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {said}"));
        Self {
            json,
            code: output.status.code(),
        }
    }

    #[track_caller]
    fn number(&self, path: &str) -> u64 {
        self.json
            .pointer(path)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no {path} in {:#}", self.json))
    }

    #[track_caller]
    fn expect(&self, path: &str, expected: u64) {
        assert_eq!(self.number(path), expected, "{path} in {:#}", self.json);
    }
}

const SLOWLY: [&str; 6] = ["--rate", "200", "--connections", "5", "--reload", "true"];

#[test]
fn a_server_that_breaks_nothing_is_lossless() {
    let server = Server::http(Http::default());
    for mode in ["keep-alive", "close"] {
        let proof = Proof::of(
            &server.url(),
            &[&SLOWLY[..], &["--mode", mode, "--version-body"]].concat(),
        );
        assert_eq!(proof.code, Some(0), "{:#}", proof.json);
        proof.expect("/failed", 0);
        proof.expect("/connections/cut", 0);
        proof.expect("/connections/endedByServer", 0);
        proof.expect("/reloads/done", 2);
        assert_eq!(proof.json["versions"][0]["version"], "v1");
        // 200 a second for four seconds, and for the reloads, however long they take.
        assert!(proof.number("/requests") >= 700, "{:#}", proof.json);
        if mode == "keep-alive" {
            proof.expect("/connections/opened", 5);
        } else {
            proof.expect("/connections/opened", proof.number("/requests"));
        }
    }
}

#[test]
fn what_is_closed_without_an_answer_is_counted_to_the_last() {
    let server = Server::http(Http {
        drops_every: 10,
        fails_every: 7,
        ..Http::default()
    });
    let proof = Proof::of(&server.url(), &SLOWLY);
    assert_eq!(proof.code, Some(1));
    let dropped = server.dropped.load(SeqCst);
    assert!(dropped > 20, "{dropped}");
    proof.expect("/failures/closed", dropped);
    proof.expect("/failures/serverError", server.failed.load(SeqCst));
    proof.expect("/statuses/503", server.failed.load(SeqCst));
    proof.expect("/failed", dropped + server.failed.load(SeqCst));
    proof.expect("/connections/cut", dropped);
    proof.expect("/requests", server.asked.load(SeqCst));
}

#[test]
fn a_connection_that_says_close_is_no_loss() {
    let server = Server::http(Http {
        says_close_every: 10,
        ..Http::default()
    });
    let proof = Proof::of(&server.url(), &SLOWLY);
    assert_eq!(proof.code, Some(0), "{:#}", proof.json);
    let said = server.said_close.load(SeqCst);
    assert!(said > 20, "{said}");
    proof.expect("/connections/endedHow/connection: close", said);
    proof.expect("/failed", 0);
}

#[test]
fn a_stall_hits_all_that_was_due_in_it() {
    let server = Server::http(Http {
        stalls_after: 300,
        stalls_for: Duration::from_millis(600),
        ..Http::default()
    });
    let proof = Proof::of(&server.url(), &SLOWLY);
    assert_eq!(proof.code, Some(0), "{:#}", proof.json);
    let slowest = proof.json["latency"]["all"]["slowestMilliseconds"]
        .as_f64()
        .unwrap();
    assert!(slowest >= 550.0, "{slowest}");
    // 120 of about 900 were due while it stalled: a closed loop would have seen five of them.
    let p90 = proof.json["latency"]["all"]["p99Milliseconds"]
        .as_f64()
        .unwrap();
    assert!(p90 > 400.0, "99 of 100 took less than {p90} ms");
    let silence = proof.json["longestSilenceMilliseconds"].as_f64().unwrap();
    assert!((500.0..slowest + 200.0).contains(&silence), "{silence}");
}

#[test]
fn a_port_that_is_closed_is_refused_and_a_reload_that_fails_is_told() {
    let server = Server::http(Http::default());
    let url = server.url();
    drop(server);
    let proof = Proof::of(&url, &["--rate", "100", "--reload", "echo no luck; exit 7"]);
    assert_eq!(proof.code, Some(1));
    proof.expect("/failures/refused", proof.number("/requests"));
    proof.expect("/reloads/failed", 2);
    assert!(
        proof.json["reloads"]["failure"]
            .as_str()
            .unwrap()
            .ends_with("no luck")
    );
}

#[test]
fn an_answer_that_does_not_come_times_out() {
    let server = Server::http(Http {
        stalls_after: 100,
        stalls_for: Duration::from_secs(60),
        ..Http::default()
    });
    let proof = Proof::of(
        &server.url(),
        &[&SLOWLY[..], &["--timeout", "300ms"]].concat(),
    );
    assert_eq!(proof.code, Some(1));
    assert!(proof.number("/failures/timedOut") > 100, "{:#}", proof.json);
    assert_eq!(proof.number("/failures/timedOut"), proof.number("/failed"));
}

#[test]
fn websockets_are_told_or_cut() {
    let told = Server::websocket(server::Ending::Told);
    let proof = Proof::of(
        &told.url().replace("http:", "ws:"),
        &[&SLOWLY[..], &["--mode", "websocket"]].concat(),
    );
    assert_eq!(proof.code, Some(0), "{:#}", proof.json);
    assert!(told.said_close.load(SeqCst) > 5);
    proof.expect(
        "/connections/endedHow/close frame 1012",
        told.said_close.load(SeqCst),
    );

    let cut = Server::websocket(server::Ending::Cut);
    let proof = Proof::of(
        &cut.url(),
        &[&SLOWLY[..], &["--mode", "websocket"]].concat(),
    );
    assert_eq!(proof.code, Some(1), "{:#}", proof.json);
    assert!(cut.dropped.load(SeqCst) > 5);
    proof.expect("/connections/cut", cut.dropped.load(SeqCst));
    proof.expect("/failed", cut.dropped.load(SeqCst));
}

#[test]
fn event_streams_are_told_or_cut() {
    let told = Server::events(server::Ending::Told);
    let proof = Proof::of(
        &told.url(),
        &["--connections", "3", "--reload", "true", "--mode", "sse"],
    );
    assert_eq!(proof.code, Some(0), "{:#}", proof.json);
    assert!(proof.number("/connections/endedHow/end of the stream") > 5);
    assert!(proof.number("/requests") > 100, "{:#}", proof.json);

    let cut = Server::events(server::Ending::Cut);
    let proof = Proof::of(
        &cut.url(),
        &["--connections", "3", "--reload", "true", "--mode", "sse"],
    );
    assert_eq!(proof.code, Some(1), "{:#}", proof.json);
    assert!(proof.number("/connections/cut") > 5, "{:#}", proof.json);
}

#[test]
fn the_picture_and_the_lines_are_made() {
    let server = Server::http(Http::default());
    let directory = tempfile::tempdir().unwrap();
    let svg = directory.path().join("a.svg");
    let output = Command::new(env!("CARGO_BIN_EXE_portkeep"))
        .args([
            "prove",
            &server.url(),
            "--reload",
            "true",
            "--times",
            "1",
            "--rate",
            "100",
            "--svg",
        ])
        .arg(&svg)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with("Nothing was lost in 1 reloads.\n"), "{said}");
    assert!(!said.contains('\u{1b}'), "colour in a pipe: {said}");
    assert!(
        std::fs::read_to_string(svg)
            .unwrap()
            .contains("class=\"reload\"")
    );
}

#[test]
fn bad_usage_is_said_at_once() {
    for arguments in [
        vec!["prove", "localhost:80", "--reload", "true"],
        vec!["prove", "https://localhost/", "--reload", "true"],
        vec![
            "prove",
            "http://127.0.0.1:9/",
            "--reload",
            "true",
            "--rate",
            "0",
        ],
        vec![
            "prove",
            "http://127.0.0.1:9/",
            "--reload",
            "true",
            "--timeout",
            "0s",
        ],
        vec!["prove", "http://127.0.0.1:9/"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_portkeep"))
            .args(&arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
