//! A changed spec takes away what connections move by, and gives it back: clients reach the new version within a second, and
//! connections move again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portkeep_tests::{App, Behaviour, Manager, Steady, wait_until};
use serde_json::{Value, json};

/// How long a client with a connection may be answered by the version before.
const SOON: Duration = Duration::from_secs(1);
const CLIENTS: usize = 20;

/// A client that keeps its connection until an answer says that it ends, and then opens another.
struct Client(JoinHandle<Vec<(Instant, String)>>);

impl Client {
    fn start(address: SocketAddr, stop: Arc<AtomicBool>) -> Self {
        Self(thread::spawn(move || {
            let mut answers = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let socket = TcpStream::connect(address).expect("the port is open");
                socket
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .expect("it can be set");
                let mut socket = BufReader::new(socket);
                let mut ends = false;
                while !ends && !stop.load(Ordering::SeqCst) {
                    let (version, last) = exchange(&mut socket);
                    answers.push((Instant::now(), version));
                    ends = last;
                    thread::sleep(Duration::from_millis(10));
                }
            }
            answers
        }))
    }

    fn answers(self) -> Vec<(Instant, String)> {
        self.0.join().expect("each request was answered")
    }
}

/// One request: the version that answered, and whether that was the last answer.
fn exchange(socket: &mut BufReader<TcpStream>) -> (String, bool) {
    socket
        .get_mut()
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .expect("it is sent");
    let (mut version, mut length, mut ends) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        assert!(
            socket.read_line(&mut line).expect("an answer comes") > 0,
            "the connection ended without an answer"
        );
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            _ if line.trim_end().is_empty() => break,
            Some(("connection", "close")) => ends = true,
            Some(("x-version", value)) => value.clone_into(&mut version),
            Some(("content-length", value)) => length = value.parse().expect("it is a number"),
            _ => {}
        }
    }
    socket
        .read_exact(&mut vec![0; length])
        .expect("the body comes");
    (version, ends)
}

/// Installs the app with these fields and a new version, under clients that keep their connections. Answers how long the
/// version before answered beside the new one.
fn change(app: &App, version: &str, fields: &[(&str, Value)]) -> Duration {
    let before = app.get("/").version;
    let stop = Arc::new(AtomicBool::new(false));
    let clients = [(); CLIENTS].map(|()| Client::start(app.address(), Arc::clone(&stop)));
    app.publish(&Behaviour::version(version));
    app.install_again(fields);
    thread::sleep(2 * SOON);
    stop.store(true, Ordering::SeqCst);
    let answers: Vec<_> = clients.into_iter().flat_map(Client::answers).collect();
    let of = |version: &str| {
        let of_it = answers.iter().filter(|(_, answered)| answered == version);
        of_it.map(|(at, _)| *at).collect::<Vec<_>>()
    };
    let first = of(version).into_iter().min().expect("the new one answers");
    let last = of(&before)
        .into_iter()
        .max()
        .expect("the one before answered");
    let took = last.saturating_duration_since(first);
    println!(
        "measured: {before} → {version}, {fields:?}: the last client came {took:?} after the first"
    );
    app.wait_for_only_one();
    took
}

/// Twenty clients' connections outlive a reload.
fn moves(app: &App, version: &str) {
    let steady = Steady::start(app.address(), &[(CLIENTS, Duration::from_millis(10))]);
    let before = app.get("/").version;
    app.publish(&Behaviour::version(version));
    app.reload();
    app.wait_for_version(version, Duration::from_secs(10));
    app.wait_for_only_one();
    let kept = steady.finish();
    kept.expect_all(2 * CLIENTS as u64);
    assert!(
        kept.versions.contains(&before),
        "{before}: {:?}",
        kept.versions
    );
}

#[test]
fn connections_move_again_after_they_did_not_for_a_while() {
    let app = App::named("comes-and-goes").serve(&Behaviour::version("v1"));
    let socket = app.unit("-move.socket");
    let state = || app.manager().property(&socket, "ActiveState");
    moves(&app, "v2");
    assert_eq!(state(), "active");

    let took = change(&app, "v3", &[("moveConnections", json!(false))]);
    assert!(took < SOON, "{took:?}");
    // Without a file, it would be active and have no socket.
    assert_eq!(state(), "inactive");

    let took = change(&app, "v4", &[("moveConnections", json!(true))]);
    assert!(took < SOON, "{took:?}");
    assert_eq!(state(), "active");
    moves(&app, "v5");
}

/// It may be stopped, too, and costs no request.
#[test]
fn a_stopped_move_socket_ends_connections_well() {
    let app = App::named("without-move").serve(&Behaviour::version("v1"));
    let socket = app.unit("-move.socket");
    let _ = app.manager().systemctl(&["stop", &socket]).expect_success();
    let took = change(&app, "v2", &[]);
    assert!(took < SOON, "{took:?}");
    moves(&app, "v3");
}

/// So is the port of a listener that is not in the spec any more.
#[test]
fn a_removed_listener_is_closed() {
    let listen = |listeners: &[(&str, &str)]| {
        let listeners = listeners
            .iter()
            .map(|(name, stream)| json!({"name": name, "stream": stream}));
        ("listen", Value::Array(listeners.collect()))
    };
    let (http, admin) = (("http", "127.0.0.1:8080"), ("admin", "127.0.0.1:8081"));
    let (field, both) = listen(&[http, admin]);
    let app = App::named("listeners")
        .with(field, both)
        .serve(&Behaviour::version("v1"));
    let answers = || {
        let address = SocketAddr::from(([127, 0, 0, 1], 8081));
        portkeep_tests::request(address, "/", Duration::from_secs(5))
    };
    assert_eq!(answers().version(), Some("v1"));
    app.install_again(&[listen(&[http])]);
    wait_until("its port is closed", Duration::from_secs(10), || {
        (answers() == portkeep_tests::Outcome::Refused).then_some(())
    });
    let socket = app.unit("-admin.socket");
    assert_eq!(app.manager().property(&socket, "ActiveState"), "inactive");
}

/// A next generation of another user takes no connections: its clients come on their own, at once.
#[test]
fn another_user_takes_over_within_a_second() {
    if Manager::of_this_process() == Manager::User {
        // It has one user.
        return;
    }
    let app = App::named("other-user").serve(&Behaviour::version("v1"));
    let user = |name: &str| ("allow", json!({"user": name}));
    let nobody = ("allow", json!({}));
    let off = ("sandbox", json!("off"));
    let strict = ("sandbox", json!("strict"));
    for (version, fields) in [
        ("v2", vec![user("dev")]),
        ("v3", vec![nobody.clone()]),
        ("v4", vec![off, user("dev")]),
        ("v5", vec![strict, nobody]),
    ] {
        let took = change(&app, version, &fields);
        assert!(took < SOON, "{version}: {took:?}");
    }
    moves(&app, "v6");
}
