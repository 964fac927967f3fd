//! Connections behind a transport that can be taken apart: they move like others, and are as they were if they cannot.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_cookie;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, recv, send, sendmsg, socket_with,
};

use super::World;
use crate::cipher::{Counter, keys};
use crate::client::get;
use crate::manager::{PATIENCE, Process, Setup};
use crate::probe;

/// The client's side of the cipher.
struct Client {
    socket: TcpStream,
    key: u64,
    to_server: Counter,
    from_server: Counter,
    records: Vec<u8>,
    opened: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr, key: u64) -> Self {
        let mut client = Self::over(TcpStream::connect(address).unwrap(), key);
        client.socket.write_all(&key.to_le_bytes()).unwrap();
        client
    }

    /// After the handshake.
    fn over(socket: TcpStream, key: u64) -> Self {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (to_server, from_server) = keys(key);
        Self {
            socket,
            key,
            to_server,
            from_server,
            records: Vec::new(),
            opened: Vec::new(),
        }
    }

    fn sealed(&mut self, path: &str) -> Vec<u8> {
        self.to_server.seal(get(path).as_bytes())
    }

    /// The next answer: its head, and its body.
    fn answer(&mut self) -> io::Result<(String, String)> {
        loop {
            let text = String::from_utf8_lossy(&self.opened).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() >= length {
                    self.opened.drain(..head.len() + 4 + length);
                    return Ok((head, body[..length].to_owned()));
                }
            }
            let mut bytes = [0; 4096];
            let count = self.socket.read(&mut bytes)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.records.extend(&bytes[..count]);
            let opened = self.from_server.open(&mut self.records)?;
            self.opened.extend(opened);
        }
    }

    fn get(&mut self, path: &str) -> (String, String) {
        let sealed = self.sealed(path);
        self.socket.write_all(&sealed).unwrap();
        self.answer().unwrap()
    }

    /// Which process answered. Nothing may announce an end, and the handler knows the key.
    #[track_caller]
    fn who(&mut self) -> u32 {
        let (head, body) = self.get("/known");
        assert!(!head.contains("connection: close"), "it ends");
        let (process, key) = body.split_once(' ').unwrap();
        assert_eq!(key, self.key.to_string());
        process.parse().unwrap()
    }

    /// That this process answers, for the last time.
    #[track_caller]
    fn last_answer_of(&mut self, process: &Process) {
        let (head, body) = self.get("/");
        assert_eq!(body, process.id().to_string());
        assert!(head.contains("connection: close"), "{head}");
        assert_eq!(self.socket.read(&mut [0; 1]).unwrap(), 0);
    }
}

fn with_cipher(world: &World, name: &str) -> Setup {
    world.setup().set(probe::CIPHER, name)
}

fn start(world: &World) -> Process {
    with_cipher(world, "1").start_ready()
}

fn address(world: &World) -> SocketAddr {
    world.listener.local_addr().unwrap()
}

fn clients(world: &World, count: u64) -> Vec<Client> {
    let mut clients: Vec<_> = (1..=count)
        .map(|key| Client::connect(address(world), key * 0x1234_5678_9abc))
        .collect();
    for client in &mut clients {
        client.who();
    }
    clients
}

#[test]
fn they_move_from_generation_to_generation() {
    let world = World::new();
    let mut old = start(&world);
    let mut clients = clients(&world, 30);
    for _ in 0..5 {
        let new = start(&world);
        old.drain();
        let report = old.report();
        assert!(
            report.contains("30 moved, 0 idle closed, nothing cut"),
            "{report}"
        );
        for client in &mut clients {
            assert_eq!(client.who(), new.id());
        }
        old = new;
    }
}

/// One whose handshake is not over, and one that has not asked anything.
#[test]
fn new_ones_move_too() {
    let world = World::new();
    let mut old = start(&world);
    let silent = TcpStream::connect(address(&world)).unwrap();
    let mut fresh = Client::connect(address(&world), 99);
    // Accepted, because a later one was answered.
    clients(&world, 1);
    let new = start(&world);
    old.drain();
    (&silent).write_all(&7_u64.to_le_bytes()).unwrap();
    assert!(old.report().contains("nothing cut"));
    let mut silent = Client::over(silent, 7);
    assert_eq!(silent.who(), new.id());
    assert_eq!(fresh.who(), new.id());
}

/// A part of a record is with the transport, which cannot be taken apart: later it can.
#[test]
fn one_with_a_part_of_a_record_moves_when_the_rest_has_come() {
    let world = World::new();
    let mut old = world
        .setup()
        .set(probe::CIPHER, "1")
        .set(probe::LINGER, 20_000)
        .start_ready();
    let mut client = clients(&world, 1).remove(0);
    let sealed = client.sealed("/known");
    let (part, rest) = sealed.split_at(9);
    client.socket.write_all(part).unwrap();
    clients(&world, 1);
    let new = start(&world);
    old.drain();
    old.logged("a connection cannot be taken apart now");
    client.socket.write_all(rest).unwrap();
    // Whoever reads the rest answers, and it is nobody's end.
    let (head, _) = client.answer().unwrap();
    assert!(!head.contains("connection: close"), "{head}");
    assert!(old.report().contains("nothing cut"));
    assert_eq!(client.who(), new.id());
}

/// Its client cannot hold up the end of the old generation with it.
#[test]
fn one_whose_rest_does_not_come_ends_here() {
    let world = World::new();
    let mut old = start(&world);
    let mut client = clients(&world, 1).remove(0);
    let sealed = client.sealed("/");
    client.socket.write_all(&sealed[..9]).unwrap();
    clients(&world, 1);
    let _new = start(&world);
    let began = old.drain();
    assert!(old.report().contains("1 idle closed, nothing cut"));
    assert!(began.elapsed() < Duration::from_secs(15), "{began:?}");
}

/// Put together again from its own state, and not one byte out of step.
#[test]
fn one_that_the_next_generation_refuses_is_as_it_was() {
    let world = World::new();
    let mut old = start(&world);
    let mut clients = clients(&world, 30);
    let _new = with_cipher(&world, "2 alone").start_ready();
    old.drain();
    old.logged("cannot have a connection");
    for client in &mut clients {
        client.last_answer_of(&old);
    }
    assert!(old.report().contains("0 moved, 0 idle closed, nothing cut"));
}

/// Neither takes a connection of the other.
#[test]
fn with_and_without_a_transport_are_two_kinds() {
    let world = World::new();
    let mut old = start(&world);
    let mut client = clients(&world, 1).remove(0);
    let mut new = world.start();
    old.drain();
    assert!(new.logged("cannot be taken over").contains("none here"));
    client.last_answer_of(&old);
    assert!(old.report().contains("0 moved"));

    let mut plain = world.client();
    super::who(&mut plain);
    let last = start(&world);
    new.drain();
    assert!(last.logged("cannot be taken over").contains("it did not"));
    assert!(plain.get("/").unwrap().close);
    assert!(new.report().contains("0 moved"));
}

pub(super) fn message(kind: u8, flags: u8, number: u64) -> Vec<u8> {
    let mut message = vec![0; 16];
    (message[0], message[1], message[2]) = (1, kind, flags);
    message[8..].copy_from_slice(&number.to_le_bytes());
    message
}

pub(super) const HELLO: u8 = 1;
pub(super) const WELCOME: u8 = 2;
pub(super) const CONNECTION: u8 = 3;
pub(super) const ACK: u8 = 4;
pub(super) const NAK: u8 = 5;
/// It speaks HTTP/1 and had a request, and a list of what goes along follows.
const WITH_LAYER_STATES: u8 = 3 + 16;
/// What every edition since the second one knows, and what this one knows.
pub(super) const TIMES: u64 = 1;
pub(super) const TRANSPORT: u64 = 2;

/// A next generation that knows these features: takes what is sent, acknowledges `acks` of it, and is gone.
pub(super) fn play(world: &World, features: u64, connections: u64, acks: u64) -> Vec<Vec<u8>> {
    let session = world.next_session();
    let mut bytes = vec![0; 70_000];
    recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    assert_eq!(bytes[1], HELLO);
    send(&session, &message(WELCOME, 0, features), SendFlags::empty()).unwrap();
    let mut sent = Vec::new();
    for number in 0..connections {
        let (length, _) = recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
        sent.push(bytes[..length].to_vec());
        if number < acks {
            send(&session, &message(ACK, 0, number), SendFlags::empty()).unwrap();
        }
    }
    sent
}

/// One of an edition before transports: it is not sent what it does not know, and that ends well here.
#[test]
fn an_older_next_generation_gets_none_of_them() {
    for features in [0, TIMES] {
        let world = World::new();
        let mut old = start(&world);
        let mut client = clients(&world, 1).remove(0);
        old.drain();
        let session = world.next_session();
        let mut bytes = [0; 64];
        recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
        send(&session, &message(WELCOME, 0, features), SendFlags::empty()).unwrap();
        old.logged("does not know");
        client.last_answer_of(&old);
        assert!(old.report().contains("0 moved"));
        drop(session);
    }
}

/// What a next generation that dies had not acknowledged is served on.
#[test]
fn a_next_generation_that_dies_takes_only_what_it_owned() {
    for (connections, acks) in [(1, 0), (1, 1), (20, 7)] {
        let world = World::new();
        let mut old = start(&world);
        let mut clients = clients(&world, 30);
        old.drain();
        let sent = play(&world, TRANSPORT, connections, acks);
        // One of this edition, which does not say how old they are.
        assert!(
            sent.iter().all(|sent| sent[2] == WITH_LAYER_STATES),
            "{sent:?}"
        );
        old.logged("end here");
        let mut served = 0;
        for client in &mut clients {
            let sealed = client.sealed("/");
            let _ = client.socket.write_all(&sealed);
            match client.answer() {
                Ok((_, body)) => {
                    assert_eq!(body, old.id().to_string());
                    served += 1;
                }
                Err(error) => assert!(is_end(&error), "out of step: {error}"),
            }
        }
        assert_eq!(served, 30 - acks);
        assert!(old.report().contains(&format!("{acks} moved")));
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
    )
}

/// An old generation, as a test plays it.
pub(super) struct Old {
    pub(super) session: OwnedFd,
    listener: TcpListener,
}

impl Old {
    pub(super) fn greet(world: &World, features: u64) -> Self {
        let flag = SocketFlags::CLOEXEC;
        let session = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flag, None).unwrap();
        let address = SocketAddrUnix::new(world.directory.path().join("move")).unwrap();
        rustix::net::connect(&session, &address).unwrap();
        send(&session, &message(HELLO, 0, features), SendFlags::empty()).unwrap();
        let mut bytes = [0; 16];
        recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
        assert_eq!(bytes[1], WELCOME);
        Self {
            session,
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    /// A client's socket, and the one that it is connected to.
    pub(super) fn pair(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        (client, self.listener.accept().unwrap().0)
    }

    /// The kind of the answer.
    pub(super) fn give(&self, socket: &TcpStream, flags: u8, rest: &[u8]) -> u8 {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [socket.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let cargo = [&message(CONNECTION, flags, 3), rest].concat();
        let parts = [io::IoSlice::new(&cargo)];
        sendmsg(&self.session, &parts, &mut control, SendFlags::empty()).unwrap();
        let mut bytes = [0; 16];
        recv(&self.session, &mut bytes[..], RecvFlags::empty()).unwrap();
        bytes[1]
    }
}

/// What goes along: of which socket, of which kinds and lengths, and what it is.
pub(super) fn layer_states(cookie: u64, entries: &[(u8, u32)], contents: &[u8]) -> Vec<u8> {
    let mut bytes = cookie.to_le_bytes().to_vec();
    bytes.push(entries.len() as u8);
    for (kind, length) in entries {
        bytes.push(*kind);
        bytes.extend(length.to_le_bytes());
    }
    bytes.extend(b"\x04http");
    bytes.extend(contents);
    bytes
}

/// The state of a connection that has had no request.
fn state(key: u64) -> Vec<u8> {
    let numbers = [1, key, 0, 0].map(u64::to_le_bytes).concat();
    [&b"cipher 1"[..], &numbers].concat()
}

#[test]
fn an_older_and_a_newer_generation_are_understood() {
    let world = World::new();
    let new = start(&world);
    for features in [TRANSPORT, u64::MAX] {
        let old = Old::greet(&world, features);
        let (client, socket) = old.pair();
        let state = state(5);
        let cookie = socket_cookie(&socket).unwrap();
        let good = layer_states(cookie, &[(1, state.len() as u32)], &state);
        assert_eq!(old.give(&socket, WITH_LAYER_STATES, &good), ACK);
        drop(socket);
        assert_eq!(Client::over(client, 5).who(), new.id());
    }
    // Plain connections of the first edition, where there is no transport.
    let world = World::new();
    let new = world.start();
    let old = Old::greet(&world, 0);
    let (client, socket) = old.pair();
    assert_eq!(old.give(&socket, 3, b"\x04http"), ACK);
    (&client).write_all(get("/").as_bytes()).unwrap();
    let mut bytes = vec![0; 4096];
    let length = (&client).read(&mut bytes).unwrap();
    let answer = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert!(answer.ends_with(&new.id().to_string()), "{answer}");
}

/// None of them is served, none is touched, and the next one is taken.
#[test]
fn states_that_are_not_as_they_should_be_are_refused() {
    let world = World::new();
    let new = start(&world);
    let mut old = Old::greet(&world, u64::MAX);
    let (_other, other) = old.pair();
    let other = socket_cookie(&other).unwrap();
    let state = state(5);
    let length = state.len() as u32;
    type Make<'a> = Box<dyn Fn(u64) -> Vec<u8> + 'a>;
    let with = |entries: Vec<(u8, u32)>, contents: Vec<u8>| -> Make<'_> {
        Box::new(move |cookie| layer_states(cookie, &entries, &contents))
    };
    let cases: [(&str, Make<'_>); 10] = [
        ("no list", Box::new(|_| b"\x04http".to_vec())),
        ("cut", with(vec![(1, length)], state[..20].to_vec())),
        (
            "cut before it was sent",
            with(vec![(1, 20)], state[..20].to_vec()),
        ),
        ("longer than it says", with(vec![(1, 20)], state.clone())),
        ("empty", with(vec![(1, 0)], Vec::new())),
        ("nonsense", with(vec![(1, length)], vec![0xff; state.len()])),
        ("huge", with(vec![(1, u32::MAX)], state.clone())),
        ("unknown", with(vec![(99, length)], state.clone())),
        ("twice", with(vec![(1, length), (1, 0)], state.clone())),
        (
            "of another connection",
            Box::new(|_| layer_states(other, &[(1, length)], &state)),
        ),
    ];
    for (what, make) in cases {
        let (client, socket) = old.pair();
        let rest = make(socket_cookie(&socket).unwrap());
        assert_eq!(old.give(&socket, WITH_LAYER_STATES, &rest), NAK, "{what}");
        // Still the old one's, which goes on with it.
        client.set_nonblocking(true).unwrap();
        let read = (&client).read(&mut [0; 1]).unwrap_err();
        assert_eq!(read.kind(), ErrorKind::WouldBlock, "{what}");
        (&socket).write_all(b"x").unwrap();
    }

    // Over there already: the same keys twice.
    let (client, socket) = old.pair();
    let good = layer_states(socket_cookie(&socket).unwrap(), &[(1, length)], &state);
    assert_eq!(old.give(&socket, WITH_LAYER_STATES, &good), ACK);
    assert_eq!(old.give(&socket, WITH_LAYER_STATES, &good), NAK);
    let mut client = Client::over(client, 5);
    assert_eq!(client.who(), new.id());
    // And of another session.
    old = Old::greet(&world, u64::MAX);
    assert_eq!(old.give(&socket, WITH_LAYER_STATES, &good), NAK);
    assert_eq!(client.who(), new.id());
    assert!(!new.story().contains("panicked"), "{}", new.story());
}

/// One that a dead session had not acknowledged can come again.
#[test]
fn a_connection_that_was_not_acknowledged_can_be_sent_again() {
    let world = World::new();
    let new = start(&world);
    let old = Old::greet(&world, u64::MAX);
    let (client, socket) = old.pair();
    let state = state(5);
    let good = layer_states(
        socket_cookie(&socket).unwrap(),
        &[(1, state.len() as u32)],
        &state,
    );
    new.stop();
    // Sent, and gone before it is answered.
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [socket.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let cargo = [&message(CONNECTION, WITH_LAYER_STATES, 3)[..], &good].concat();
    sendmsg(
        &old.session,
        &[io::IoSlice::new(&cargo)],
        &mut control,
        SendFlags::empty(),
    )
    .unwrap();
    rustix::net::shutdown(&old.session, rustix::net::Shutdown::Read).unwrap();
    drop(old.session);
    new.signal(rustix::process::Signal::CONT);
    let deadline = Instant::now() + PATIENCE;
    let old = Old::greet(&world, u64::MAX);
    while old.give(&socket, WITH_LAYER_STATES, &good) != ACK {
        assert!(Instant::now() < deadline, "{}", new.story());
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(Client::over(client, 5).who(), new.id());
}
