//! HTTP/2 clients as people have them, over reloads: none fails a request, none makes a second connection.
//!
//! Those of other languages need their tools: `tests/run clients` brings them, and reloads more often
//! (`PORTKEEP_CLIENT_RELOADS`).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::World;
use crate::manager::{PATIENCE, Process};

/// What a client has seen: each line is an answer of `/seen`, or says what failed.
#[derive(Debug, Default)]
struct Seen {
    answers: u64,
    processes: BTreeSet<String>,
    /// The client's ends of its connections.
    connections: BTreeSet<String>,
    failures: Vec<String>,
}

impl Seen {
    fn add(&mut self, line: &str) {
        match line.split_once(' ') {
            Some((process, peer)) if process.parse::<u32>().is_ok() => {
                self.answers += 1;
                self.processes.insert(process.to_owned());
                self.connections.insert(peer.to_owned());
            }
            _ => self.failures.push(line.to_owned()),
        }
    }

    #[track_caller]
    fn lost_nothing(&self, client: &str, connections: usize, reloads: usize) {
        println!(
            "measured: {client}, {reloads} reloads: {} requests, {} failed, on {} connections",
            self.answers,
            self.failures.len(),
            self.connections.len()
        );
        assert_eq!(self.failures, Vec::<String>::new());
        assert_eq!(self.connections.len(), connections);
        assert_eq!(self.processes.len(), reloads + 1, "each has answered");
    }
}

fn reloads(default: usize) -> usize {
    let text = std::env::var("PORTKEEP_CLIENT_RELOADS").ok();
    text.map_or(default, |text| text.parse().unwrap())
}

/// Generations that replace each other, each when the one before has answered.
struct Replaced {
    world: World,
    current: Process,
}

impl Replaced {
    fn start() -> Self {
        let world = World::new();
        // A client that is not certain yet is waited for.
        let current = Self::next(&world);
        Self { world, current }
    }

    fn next(world: &World) -> Process {
        world
            .setup()
            .set(crate::probe::LINGER, 10_000)
            .start_ready()
    }

    fn address(&self) -> SocketAddr {
        self.world.listener.local_addr().unwrap()
    }

    /// All of the old one's connections go on in the next.
    #[track_caller]
    fn reload(&mut self, connections: usize) {
        let next = Self::next(&self.world);
        let mut old = std::mem::replace(&mut self.current, next);
        old.drain();
        let report = old.report();
        let moved = format!("{connections} moved, 0 idle closed, nothing cut");
        assert!(report.contains(&moved), "{report}\n{}", old.story());
    }
}

/// A client in a process of its own, which asks until its input ends.
struct Other {
    child: Child,
    lines: Receiver<String>,
}

impl Other {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} (`tests/run clients` brings it): {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// Hears what it says up to an answer of this process.
    #[track_caller]
    fn hear_of(&self, process: &Process, seen: &mut Seen) {
        let process = process.id().to_string();
        while !seen.processes.contains(&process) {
            let line = self.lines.recv_timeout(PATIENCE);
            let line =
                line.unwrap_or_else(|error| panic!("nothing of {process}: {error}; {seen:?}"));
            seen.add(&line);
        }
    }

    fn end(mut self, seen: &mut Seen) {
        drop(self.child.stdin.take());
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            seen.add(&line);
        }
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn keeps_its_connection(client: &str, command: impl FnOnce(SocketAddr) -> Command) {
    let reloads = reloads(20);
    let mut generations = Replaced::start();
    let other = Other::start(&mut command(generations.address()));
    let mut seen = Seen::default();
    other.hear_of(&generations.current, &mut seen);
    for _ in 0..reloads {
        generations.reload(1);
        other.hear_of(&generations.current, &mut seen);
    }
    other.end(&mut seen);
    seen.lost_nothing(client, 1, reloads);
}

fn program(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("tests/lifecycle/moving/clients").join(name)
}

#[test]
#[ignore = "needs Node.js, which `tests/run clients` installs"]
fn node() {
    keeps_its_connection("Node.js", |address| {
        let mut node = Command::new("node");
        node.arg(program("node.mjs"))
            .arg(format!("http://{address}"));
        node
    });
}

#[test]
#[ignore = "needs Go with its package http2, which `tests/run clients` installs"]
fn go() {
    let directory = tempfile::tempdir().unwrap();
    let built = directory.path().join("client");
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&built)
        .arg(program("http2.go"))
        // As Debian has it.
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode")])
        .status();
    assert!(status.unwrap().success());
    keeps_its_connection("Go", |address| {
        let mut client = Command::new(built);
        client.arg(format!("http://{address}"));
        client
    });
}

/// It counts itself, and asks as fast as it is answered.
#[test]
#[ignore = "needs h2load, which `tests/run clients` installs"]
fn h2load() {
    const CONNECTIONS: usize = 5;
    let reloads = reloads(20);
    let mut generations = Replaced::start();
    let mut client = Command::new("h2load")
        .args(["--clients", &CONNECTIONS.to_string()])
        // A generation is there soon, on a busy machine in a second.
        .args(["--duration", &(5 + 2 * reloads).to_string()])
        .args(["--max-concurrent-streams", "4"])
        .arg(format!("http://{}/seen", generations.address()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("h2load (`tests/run clients` brings it): {error}"));
    let mut made = 0;
    thread::sleep(std::time::Duration::from_secs(1));
    while made < reloads && client.try_wait().unwrap().is_none() {
        generations.reload(CONNECTIONS);
        made += 1;
    }
    let said = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = said.lines().find(|line| line.starts_with("requests:"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    println!("measured: h2load, {made} reloads: {line}");
    assert!(line.contains(" 0 failed, 0 errored, 0 timeout"), "{said}");
    assert_eq!(made, reloads, "{said}");
}

/// As most Rust programs have it, with as many threads as there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hyper_with_two_threads() {
    pooled("hyper's pool, 2 threads").await;
}

#[tokio::test]
async fn hyper_with_one_thread() {
    pooled("hyper's pool, 1 thread").await;
}

async fn pooled(name: &str) {
    let reloads = reloads(3);
    let mut generations = Replaced::start();
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let over = Arc::new(AtomicBool::new(false));
    let uri: http::Uri = format!("http://{}/seen", generations.address())
        .parse()
        .unwrap();
    // One at first: a pool that has no connection yet may begin several.
    let mut seen = Seen::default();
    seen.add(&ask(&client, &uri).await);
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (client, uri, over) = (client.clone(), uri.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut lines = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    lines.push(ask(&client, &uri).await);
                    tokio::task::yield_now().await;
                }
                lines
            })
        })
        .collect();
    for _ in 0..reloads {
        generations = tokio::task::spawn_blocking(move || {
            generations.reload(1);
            generations
        })
        .await
        .unwrap();
        seen.add(&ask(&client, &uri).await);
    }
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        for line in task.await.unwrap() {
            seen.add(&line);
        }
    }
    seen.lost_nothing(name, 1, reloads);
}

async fn ask<C>(client: &Client<C, Empty<Bytes>>, uri: &http::Uri) -> String
where
    C: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let answer = async {
        let answer = client
            .get(uri.clone())
            .await
            .map_err(|error| format!("{error:?}"))?;
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| format!("{error:?}"))?.to_bytes();
        String::from_utf8(body.to_vec()).map_err(|error| error.to_string())
    };
    answer
        .await
        .unwrap_or_else(|failure| format!("failed: {failure}"))
}
