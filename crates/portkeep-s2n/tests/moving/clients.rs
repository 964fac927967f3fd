//! Programs that people use, each on one connection, through many generations.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::client::{Client, get};
use crate::manager::Process;
use crate::world::World;

const RELOADS: u64 = 20;

/// Sends requests on one connection until `over`.
fn keeps_asking(
    world: &World,
    config: Arc<tokio_rustls::rustls::ClientConfig>,
    over: &AtomicBool,
    renews: bool,
) -> u32 {
    let mut client = Client::connect(world.address, &config);
    let mut answers = 0;
    while !over.load(SeqCst) {
        client.who();
        answers += 1;
        if renews && answers % 7 == 0 {
            client.renew_keys().unwrap();
        }
        thread::sleep(Duration::from_millis(2));
    }
    answers
}

/// curl says how many connections it has made.
fn curl(world: &World, over: &AtomicBool, version: &str) -> u32 {
    let mut answers = 0;
    while !over.load(SeqCst) {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--http1.1",
                "--rate",
                "50/s",
            ])
            .args(["--tls-max", version, "--cacert"])
            .arg(world.path("ca.pem"))
            .args(["--write-out", "%{stderr}%{num_connects}\n"])
            .arg(format!(
                "https://localhost:{}/?[1-100]",
                world.address.port()
            ))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let connects: u32 = said.lines().map(|line| line.parse::<u32>().unwrap()).sum();
        assert_eq!(connects, 1, "{said}");
        answers += 100;
    }
    answers
}

/// OpenSSL's own client, which renews its keys on a line with `K`.
fn openssl(world: &World, over: &AtomicBool) -> u32 {
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &world.address.to_string(),
            "-servername",
            "localhost",
        ])
        .args(["-verify_return_error", "-CAfile"])
        .arg(world.path("ca.pem"))
        .args(["-nocommands", "-quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut answers = 0;
    while !over.load(SeqCst) {
        stdin.write_all(get("/").as_bytes()).unwrap();
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it was ended");
            let lower = line.to_ascii_lowercase();
            assert!(!lower.contains("connection: close"));
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        std::io::Read::read_exact(&mut lines, &mut body).unwrap();
        answers += 1;
        thread::sleep(Duration::from_millis(2));
    }
    drop(stdin);
    let _ = child.kill();
    let _ = child.wait();
    answers
}

/// Clients that send requests until `over`, and the number of answers of each.
pub(crate) type Asking<'scope> = Vec<ScopedJoinHandle<'scope, u32>>;

/// Replaces `current` and its successors while clients send requests. Returns the number of answers of each, and the last
/// generation.
pub(crate) fn through_reloads<'world>(
    world: &'world World,
    mut current: Process,
    start: impl Fn() -> Process,
    reloads: u64,
    ask: impl for<'scope> FnOnce(
        &'scope World,
        &'scope AtomicBool,
        &'scope Scope<'scope, '_>,
    ) -> Asking<'scope>,
) -> (Vec<u32>, Process) {
    let over = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let asking = ask(world, &over, scope);
        for _ in 0..reloads {
            if asking.iter().any(|one| one.is_finished()) {
                break;
            }
            let new = start();
            let mut old = std::mem::replace(&mut current, new);
            old.drain();
            let report = old.report();
            assert!(report.contains("0 idle closed, nothing cut"), "{report}");
        }
        over.store(true, SeqCst);
        asking
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(answers.iter().all(|answers| *answers > 20), "{answers:?}");
    (answers, current)
}

#[test]
fn nobody_notices_twenty_reloads() {
    let world = World::new();
    let config = |version| Arc::new(world.config(&[version]));
    let (old_ones, new_ones) = (config(&TLS12), config(&TLS13));
    let (answers, _) = through_reloads(
        &world,
        world.start(),
        || world.start(),
        RELOADS,
        |world, over, scope| {
            vec![
                scope.spawn(move || keeps_asking(world, old_ones, over, false)),
                scope.spawn(move || keeps_asking(world, new_ones, over, true)),
                scope.spawn(move || curl(world, over, "1.2")),
                scope.spawn(move || curl(world, over, "1.3")),
                scope.spawn(move || openssl(world, over)),
            ]
        },
    );
    println!(
        "measured: TLS 1.2, TLS 1.3, curl 1.2, curl 1.3, openssl: {answers:?} answers through {RELOADS} reloads, 0 failed, 0 closed"
    );
}
