//! Connections that outlive their process, each on one TCP connection that never reconnects.

mod chat;
mod clients;
mod failures;
mod http2;
mod http2_many;
mod long;
mod many;
mod midway;
mod transport;
mod websocket;

use std::fs::Permissions;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept, bind, listen, socket_with,
};
use tempfile::TempDir;

use crate::client::{Client, get};
use crate::manager::{PATIENCE, Process, Setup, listener};
use crate::probe;

/// Generations that share a port and a move socket.
pub(crate) struct World {
    listener: TcpListener,
    move_socket: OwnedFd,
    pub(crate) directory: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let address = SocketAddrUnix::new(directory.path().join("move")).unwrap();
        bind(&socket, &address).unwrap();
        listen(&socket, 128).unwrap();
        Self {
            listener: listener().0,
            move_socket: socket,
            directory,
        }
    }

    pub(crate) fn setup(&self) -> Setup {
        Setup::http(&self.listener)
            .socket("portkeep-move", &self.move_socket)
            .set(probe::LINGER, 500)
    }

    pub(crate) fn start(&self) -> Process {
        self.setup().start_ready()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.listener.local_addr().unwrap()).unwrap()
    }

    /// The move socket can be reached by whoever likes, as systemd makes it.
    fn open_to_everybody(&self) {
        let path = self.directory.path();
        for (path, mode) in [(path.to_owned(), 0o755), (path.join("move"), 0o666)] {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
    }

    /// The session of an old generation, as the next one gets it. The socket does not block, because
    /// the generations share it.
    pub(crate) fn next_session(&self) -> OwnedFd {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match accept(&self.move_socket) {
                Ok(session) => return session,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Connections that have had a request each.
    fn clients(&self, count: usize) -> Vec<Client> {
        let mut clients: Vec<_> = (0..count).map(|_| self.client()).collect();
        for client in &mut clients {
            who(client);
        }
        clients
    }

    /// One that the current generation has accepted, because a later one was answered.
    pub(crate) fn accepted(&self) -> Client {
        let client = self.client();
        self.client().get("/").unwrap();
        client
    }
}

/// Asks, and says which process answered. Nothing may announce an end.
#[track_caller]
pub(crate) fn who(client: &mut Client) -> u32 {
    let answer = client.get("/").unwrap();
    assert!(!answer.close, "it ends");
    answer.body.parse().unwrap()
}

/// How many still have `process` to answer them, and how many have nobody.
#[track_caller]
fn served_and_lost(clients: &mut [Client], process: &Process) -> (usize, usize) {
    let (mut served, mut lost) = (0, 0);
    for client in clients {
        match client.get("/") {
            Ok(answer) => {
                assert_eq!(answer.body, process.id().to_string());
                served += 1;
            }
            Err(_) => lost += 1,
        }
    }
    (served, lost)
}

/// Waits for the end of an old generation, which had one connection and moved it.
#[track_caller]
fn has_moved_one(old: &mut Process) {
    let report = old.report();
    assert!(
        report.contains("1 moved, 0 idle closed, nothing cut"),
        "{report}"
    );
}

#[test]
fn an_idle_connection_is_served_on() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    assert_eq!(who(&mut client), old.id());
    for _ in 0..5 {
        let new = world.start();
        old.drain();
        has_moved_one(&mut old);
        assert_eq!(who(&mut client), new.id());
        old = new;
    }
}

#[test]
fn what_has_come_of_a_head_goes_along() {
    for part in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n",
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: test\r\n",
    ] {
        let world = World::new();
        let mut old = world.start();
        let mut client = world.accepted();
        client.send(part).unwrap();
        // An earlier byte is there when a later connection is answered.
        world.client().get("/").unwrap();
        let new = world.start();
        old.drain();
        assert!(old.report().contains("nothing cut"));
        if part.starts_with("GET") {
            let rest = &get("/")[part.len()..];
            client.send(rest).unwrap();
            let answer = client.answer().unwrap();
            assert!(!answer.close);
            assert_eq!(answer.body, new.id().to_string(), "{part:?}");
        } else if part.is_empty() {
            assert_eq!(who(&mut client), new.id());
        } else {
            // No request that an HTTP/1 parser knows: it says so, and the new process is alive.
            client.send(" / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
            let _ = client.answer();
            assert_eq!(who(&mut world.client()), new.id());
        }
    }
}

/// Once a connection speaks HTTP/1, no later bytes make it HTTP/2: a client behind a proxy chooses
/// them.
#[test]
fn a_connection_does_not_change_its_protocol_on_the_way() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    who(&mut client);
    // Further on hyper would see what it is, and refuse it.
    client.send("PRI * HTT").unwrap();
    world.client().get("/").unwrap();
    let _new = world.start();
    old.drain();
    assert!(old.report().contains("1 moved"));
    client.send("P/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    // HTTP/1 has no answer to this; HTTP/2 would begin with its settings.
    client.ended().unwrap();
}

#[test]
fn a_running_request_is_answered_and_then_the_connection_moves() {
    let world = World::new();
    for path in ["/slow/600", "/stream/600"] {
        let mut old = world.start();
        let mut client = world.client();
        who(&mut client);
        client.send(get(path)).unwrap();
        // Pipelined behind it: served by whoever has the connection then.
        client.send(get("/")).unwrap();
        world.client().get("/").unwrap();
        let new = world.start();
        old.drain();
        let answer = client.answer().unwrap();
        assert!(!answer.close, "{path}");
        assert!(["slow", "start end"].contains(&answer.body.as_str()));
        let next = client.answer().unwrap();
        assert!(!next.close);
        assert!(old.report().contains("nothing cut"));
        assert_eq!(who(&mut client), new.id());
    }
}

#[test]
fn an_endless_answer_ends_and_its_connection_moves() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    client.send(get("/until-shutdown")).unwrap();
    client.head().unwrap();
    assert_eq!(client.chunk().unwrap(), b"start ");
    let new = world.start();
    old.drain();
    assert_eq!(client.chunk().unwrap(), b"bye");
    assert!(client.chunk().unwrap().is_empty());
    assert!(old.report().contains("1 moved"));
    assert_eq!(who(&mut client), new.id());
}

/// A head that is longer than a message takes.
#[test]
fn a_long_head_goes_along_in_a_file() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    who(&mut client);
    let filler = format!("x-long: {}\r\n", "x".repeat(50_000));
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: test\r\n{filler}{filler}{filler}"
        ))
        .unwrap();
    thread::sleep(Duration::from_millis(300));
    let new = world.start();
    old.drain();
    assert!(old.report().contains("1 moved"));
    client.send("\r\n").unwrap();
    assert_eq!(client.answer().unwrap().body, new.id().to_string());
}

#[test]
fn a_thousand_idle_connections_move() {
    let world = World::new();
    let mut old = world.setup().open_files(4096).start_ready();
    let mut clients = world.clients(1000);
    let new = world.setup().open_files(4096).start_ready();
    old.drain();
    let report = old.report();
    println!("measured: {report}");
    assert!(
        report.contains("1000 moved, 0 idle closed, nothing cut"),
        "{report}"
    );
    for client in &mut clients {
        assert_eq!(who(client), new.id());
    }
    let _ = std::io::stdout().flush();
}
