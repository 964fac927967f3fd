//! Clients in other languages and a browser, each on one connection, through a hundred reloads.
//!
//! Each asks the server for its peer address (`/peer`) until the reloads are over, and fails if a request fails or if the
//! address has changed. `PORTKEEP_TLS_RELOADS` sets the number of reloads.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use http::Request;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::TLS13;

use crate::clients::through_reloads;
use crate::probe;
use crate::random::number;
use crate::world::World;

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/moving/programs")
        .join(name)
}

/// A program that sends requests until its standard input ends.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Waits until it has opened its connections.
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.next().map(Result::unwrap);
        assert_eq!(said.as_deref(), Some("ready"), "{command:?}");
        Self { child, lines }
    }

    /// Returns the number of answers on each of its connections.
    fn until(mut self, over: &AtomicBool) -> u32 {
        while !over.load(SeqCst) && self.child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.stdin.take());
        let said = self.lines.next();
        assert!(
            self.child.wait().unwrap().success(),
            "what is wrong is above"
        );
        said.unwrap().unwrap().parse().unwrap()
    }
}

fn python(world: &World) -> Program {
    let mut command = Command::new("python3");
    command
        .arg(source("client.py"))
        .arg(world.address.port().to_string());
    Program::start(command.arg(world.path("ca.pem")))
}

fn node(world: &World) -> Program {
    let mut command = Command::new("node");
    command
        .arg(source("client.mjs"))
        .arg(world.address.port().to_string());
    Program::start(command.env("NODE_EXTRA_CA_CERTS", world.path("ca.pem")))
}

fn go(world: &World) -> Program {
    let built = world.path("go-client");
    let output = Command::new("go")
        .args(["build", "-o"])
        .arg(&built)
        .arg(source("client.go"))
        .env("GO111MODULE", "off")
        .env("GOCACHE", world.path("go-cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mut command = Command::new(built);
    command.arg(world.address.port().to_string());
    Program::start(command.arg(world.path("ca.pem")))
}

/// hyper's client over rustls.
#[tokio::main(flavor = "current_thread")]
async fn hyper(world: &World, over: &AtomicBool) -> u32 {
    let connector = TlsConnector::from(Arc::new(world.config(&[&TLS13])));
    let socket = TcpStream::connect(world.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut answers = 0;
    while !over.load(SeqCst) {
        sender.ready().await.unwrap();
        let request = Request::get("/peer").header("host", "localhost");
        let answer = sender
            .send_request(request.body(String::new()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        axum::body::to_bytes(axum::body::Body::new(answer.into_body()), 1000)
            .await
            .unwrap();
        answers += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(sender);
    connection.await.unwrap().unwrap();
    answers
}

#[test]
#[ignore = "needs Python, Node and Go, which `tests/run tls-long` installs"]
fn no_program_notices_a_hundred_reloads() {
    let reloads = number("PORTKEEP_TLS_RELOADS", 100);
    let world = World::new();
    let (answers, _) = through_reloads(
        &world,
        world.start(),
        || world.start(),
        reloads,
        |world, over, scope| {
            let programs = [python(world), node(world), go(world)];
            let programs = programs.map(|program| scope.spawn(move || program.until(over)));
            let mut asking: Vec<_> = programs.into();
            asking.push(scope.spawn(move || hyper(world, over)));
            asking
        },
    );
    println!(
        "measured: Python (ssl, http.client), Node (https, fetch), Go, hyper over rustls: {answers:?} answers through {reloads} reloads, each on one connection, 0 failed, 0 closed"
    );
}

/// One process of curl's for all requests, on the HTTP/2 connection that ALPN has chosen. It says of each whether it had to connect,
/// and by what it spoke.
fn curl_over_http2(world: &World, over: &AtomicBool, how: &[&str]) -> u32 {
    let mut child = Command::new("curl")
        .args(["--http2", "--silent", "--show-error", "--no-progress-meter"])
        .args(["--fail", "--cacert"])
        .arg(world.path("ca.pem"))
        .args(["--output", "/dev/null"])
        .args(["--write-out", "%{stderr}%{num_connects} %{http_version}\n"])
        .args(how)
        .arg(format!(
            "https://localhost:{}/?[1-100000000]",
            world.address.port()
        ))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let hears = thread::spawn(move || {
        let (mut answers, mut connected, mut line) = (0, 0, String::new());
        // The last one may be cut.
        while said.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            assert!(["0 2\n", "1 2\n"].contains(&line.as_str()), "{line}");
            connected += u32::from(line.starts_with('1'));
            assert!(connected < 2, "after {answers} answers");
            answers += 1;
            line.clear();
        }
        answers
    });
    while !over.load(SeqCst) && !hears.is_finished() {
        thread::sleep(Duration::from_millis(20));
    }
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ended, None, "curl has ended");
    hears.join().unwrap()
}

#[test]
#[ignore = "needs a curl with HTTP/2, which `tests/run tls-long` installs"]
fn curl_keeps_its_http2_connection() {
    let reloads = number("PORTKEEP_TLS_RELOADS", 100);
    let world = World::new();
    let start = || world.setup().set(probe::PROTOCOLS, "h2").start_ready();
    let (answers, _) = through_reloads(&world, start(), start, reloads, |world, over, scope| {
        let ways: [&[&str]; 2] = [&["--rate", "100/s"], &["--parallel", "--parallel-max", "3"]];
        ways.map(|how| scope.spawn(move || curl_over_http2(world, over, how)))
            .into()
    });
    println!(
        "measured: curl over HTTP/2, one and three at a time: {answers:?} answers through {reloads} reloads, each on one connection, 0 failed"
    );
}

/// The page reports to the server what it has seen.
#[test]
#[ignore = "needs Chromium, which `tests/run tls-long` installs"]
fn a_browser_keeps_its_connection() {
    a_browser_keeps("http/1.1");
}

/// By ALPN.
#[test]
#[ignore = "needs Chromium, which `tests/run tls-long` installs"]
fn a_browser_keeps_its_http2_connection() {
    a_browser_keeps("h2");
}

fn a_browser_keeps(protocol: &str) {
    let reloads = number("PORTKEEP_TLS_RELOADS", 100).min(30);
    let world = World::new();
    let start = || world.setup().set(probe::PROTOCOLS, protocol).start_ready();
    let profile = tempfile::tempdir().unwrap();
    let first = start();
    let mut browser = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args(["--no-first-run", "--ignore-certificate-errors"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("https://{}/page", world.address))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let connections = |line: &str| line.rsplit('=').next().unwrap().to_owned();
    let before = connections(&first.logged("answers=50&"));
    let (_, last) = through_reloads(&world, first, start, reloads, |_, over, scope| {
        vec![scope.spawn(move || {
            while !over.load(SeqCst) && browser.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_millis(20));
            }
            let ended = browser.try_wait().unwrap();
            browser.kill().unwrap();
            browser.wait().unwrap();
            assert_eq!(ended, None, "the browser has ended");
            u32::MAX
        })]
    });
    last.logged("BROWSER");
    let told = last.all_logged("BROWSER");
    let told = told.last().unwrap();
    println!("measured: Chromium by {protocol} through {reloads} reloads: {told}");
    let version = if protocol == "h2" {
        "HTTP/2.0"
    } else {
        "HTTP/1.1"
    };
    assert!(told.contains(version), "{told}");
    assert!(told.contains("failed=0&"), "{told}");
    assert_eq!(connections(told), before, "{told}");
}
