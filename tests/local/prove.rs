//! `portkeep prove` against servers whose losses are known, with other load generators at the same time.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use portkeep_tests::{
    Behaviour, Connections, Load, LoadReport, Outcome, Publish, request, wait_until,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::dev::Dev;

const SOON: Duration = Duration::from_secs(10);
/// Load of the others, while prove makes ten reloads in eight seconds between two seconds before and after.
const BESIDE: Duration = Duration::from_secs(9);

struct Proof {
    json: Value,
    code: Option<i32>,
}

impl Proof {
    fn of(address: SocketAddr, reload: &str, options: &[&str]) -> Self {
        let url = format!("http://{address}/");
        let output = Command::new("portkeep")
            .args([
                "prove", &url, "--json", "--times", "10", "--every", "800ms", "--reload", reload,
            ])
            .args(options)
            .output()
            .expect("portkeep is in PATH");
        let said = String::from_utf8_lossy(&output.stderr);
        Self {
            json: serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{error}: {said}")),
            code: output.status.code(),
        }
    }

    fn number(&self, path: &str) -> u64 {
        self.json
            .pointer(path)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no {path} in {:#}", self.json))
    }
}

/// `wrk` at a rate, begun after the load of prove and ended before it.
fn paced(address: SocketAddr, connections: Connections) -> thread::JoinHandle<LoadReport> {
    thread::spawn(move || {
        Load::new(address, BESIDE, connections)
            .rate(1000)
            .start()
            .finish()
    })
}

/// Errors of sockets that `wrk` saw, on 20 connections at full speed.
fn wrk(address: SocketAddr) -> u64 {
    let output = Command::new("wrk")
        .args(["-t1", "-c20", "-d9s", &format!("http://{address}/")])
        .output()
        .expect("wrk is in PATH (tests/run reload installs it)");
    let text = String::from_utf8_lossy(&output.stdout);
    println!(
        "measured: wrk at the same time: {}",
        text.lines()
            .find(|line| line.contains("Socket errors"))
            .unwrap_or("no socket errors")
            .trim()
    );
    let errors = text
        .lines()
        .find(|line| line.contains("Socket errors"))
        .unwrap_or_default();
    errors
        .split([' ', ','])
        .filter_map(|word| word.parse::<u64>().ok())
        .sum()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
}

#[test]
fn a_handover_loses_nothing_in_any_mode_and_wrk_agrees() {
    for (mode, beside) in [
        ("keep-alive", Some(Connections::KeepAlive)),
        ("close", Some(Connections::OnePerRequest)),
        // wrk has no HTTP/2.
        ("http2", None),
    ] {
        let dev = Dev::start("proved", Publish::Rename, &Behaviour::version("v1"));
        let other = beside.map(|connections| paced(dev.address(), connections));
        let proof = Proof::of(
            dev.address(),
            &dev.forced_reload(),
            &["--mode", mode, "--version-body"],
        );
        println!(
            "measured: prove of portkeep, {mode}: {} requests, {} failed, {} connections cut, {} ended, slowest {} ms",
            proof.number("/requests"),
            proof.number("/failed"),
            proof.number("/connections/cut"),
            proof.number("/connections/endedByServer"),
            proof.json["latency"]["all"]["slowestMilliseconds"]
        );
        assert_eq!(proof.code, Some(0), "{:#}", proof.json);
        assert_eq!(proof.number("/reloads/done"), 10);
        // Each generation tells its number.
        assert_eq!(
            proof.json["versions"].as_array().unwrap().len(),
            11,
            "{:#}",
            proof.json
        );
        if mode == "keep-alive" {
            assert_eq!(
                proof.number("/connections/endedByServer"),
                0,
                "{:#}",
                proof.json
            );
        }
        if let Some(other) = other {
            assert_eq!(other.join().unwrap().failed, 0);
        }
    }
}

/// Ends with the test, whatever it does.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Not SIGKILL: it would leave its workers running.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// `nginx -s reload` closes connections on which a request may be under way.
#[test]
fn the_losses_of_an_nginx_reload_are_found_and_wrk_confirms_them() {
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    let nginx = nginx(&directory, address);
    let reload = format!("kill -HUP {}", nginx.0.id());
    let (one, other) = (
        paced(address, Connections::KeepAlive),
        thread::spawn(move || wrk(address)),
    );
    let proof = Proof::of(address, &reload, &["--rate", "2000"]);
    let (paced, wrk) = (one.join().unwrap(), other.join().unwrap());
    println!(
        "measured: prove of nginx reload: {} of {} requests failed, {} connections ended, slowest {} ms; wrk at a rate: {} of {} failed, at full \
         speed: {wrk} errors",
        proof.number("/failed"),
        proof.number("/requests"),
        proof.number("/connections/endedByServer"),
        proof.json["latency"]["all"]["slowestMilliseconds"],
        paced.failed,
        paced.requests
    );
    assert_eq!(proof.code, Some(1), "{:#}", proof.json);
    assert!(
        proof.number("/failures/reset") + proof.number("/failures/closed") > 0,
        "{:#}",
        proof.json
    );
    assert!(paced.failed > 0 && wrk > 0, "{paced:?}, wrk {wrk}");
}

fn nginx(directory: &TempDir, address: SocketAddr) -> Killed {
    let place = directory.path().display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {place}/{name};"));
    let configuration = format!(
        "daemon off; worker_processes 2; pid {place}/pid; error_log {place}/error.log;\n\
         events {{ worker_connections 2000; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; {}\n\
         server {{ listen {address}; location / {{ return 200 \"hello\\n\"; }} }} }}\n",
        temporary.join(" ")
    );
    let file = directory.path().join("nginx.conf");
    fs::write(&file, configuration).unwrap();
    let child = Command::new("nginx")
        .arg("-p")
        .arg(directory.path())
        .arg("-c")
        .arg(&file)
        .stdin(Stdio::null())
        .spawn();
    let nginx = Killed(child.expect("nginx is in PATH (tests/run reload installs it)"));
    wait_until("nginx answers", SOON, || {
        matches!(request(address, "/", SOON), Outcome::Answer(_)).then_some(())
    });
    nginx
}

/// A server that is stopped and started: the port is closed in between.
#[test]
fn the_losses_of_a_plain_restart_are_found_and_wrk_confirms_them() {
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    let pid = directory.path().join("pid");
    let start = format!(
        "cd {} && {{ python3 -m http.server {} --bind {} >/dev/null 2>&1 & echo $! >pid; }}",
        directory.path().display(),
        address.port(),
        address.ip()
    );
    let restart = format!("kill $(cat {}); {start}", pid.display());
    assert!(
        Command::new("sh")
            .args(["-c", &start])
            .status()
            .unwrap()
            .success()
    );
    wait_until("it answers", SOON, || {
        matches!(request(address, "/", SOON), Outcome::Answer(_)).then_some(())
    });

    let other = paced(address, Connections::OnePerRequest);
    let proof = Proof::of(
        address,
        &restart,
        &["--mode", "close", "--rate", "200", "--connections", "10"],
    );
    let paced = other.join().unwrap();
    let _ = Command::new("sh")
        .args(["-c", &format!("kill $(cat {})", pid.display())])
        .status();
    println!(
        "measured: prove of a plain restart: {} of {} requests failed ({} refused); wrk: {} of {} failed",
        proof.number("/failed"),
        proof.number("/requests"),
        proof.number("/failures/refused"),
        paced.failed,
        paced.requests
    );
    assert_eq!(proof.code, Some(1), "{:#}", proof.json);
    assert!(proof.number("/failures/refused") > 100, "{:#}", proof.json);
    assert!(paced.failed > 100, "{paced:?}");
    assert!(
        // It cannot send: nobody has accepted.
        paced.errors.iter().any(|error| error.ends_with("write")),
        "{paced:?}"
    );
}
