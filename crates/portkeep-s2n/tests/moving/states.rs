//! Manipulated states: s2n-tls checks little of what it imports.

use std::io::{IoSlice, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_cookie;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, accept, recv, send, sendmsg, socket_with,
};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::client::Client;
use crate::manager::{PATIENCE, Process};
use crate::world::World;

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const CONNECTION: u8 = 3;
const ACK: u8 = 4;
const NAK: u8 = 5;
/// Flags: HTTP/1, had a request, with a state.
const WITH_STATE: u8 = 3 + 16;
/// The feature.
const TRANSPORT: u64 = 2;
/// Length of the bytes before the state: a header, a list with one entry, a name.
const BEFORE: usize = 16 + 14 + 5;

fn message(kind: u8, flags: u8, number: u64) -> Vec<u8> {
    let mut message = vec![0; 16];
    (message[0], message[1], message[2]) = (1, kind, flags);
    message[8..].copy_from_slice(&number.to_le_bytes());
    message
}

/// What the old generation sends for its only connection, which it keeps.
fn state_of(world: &World, old: &Process) -> Vec<u8> {
    old.drain();
    let deadline = Instant::now() + PATIENCE;
    let session = loop {
        match accept(&world.move_socket) {
            Ok(session) => break session,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let mut bytes = vec![0; 70_000];
    recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    send(
        &session,
        &message(WELCOME, 0, TRANSPORT),
        SendFlags::empty(),
    )
    .unwrap();
    let (length, _) = recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    send(&session, &message(NAK, 0, 0), SendFlags::empty()).unwrap();
    old.logged("cannot have a connection");
    assert_eq!((bytes[1], bytes[2]), (CONNECTION, WITH_STATE));
    bytes[BEFORE..length].to_vec()
}

/// Offset of the part that s2n-tls has written: after a head and the name of the policy, each field with its length.
fn exported(state: &[u8]) -> usize {
    let head = 8 + 1 + 1 + 8 + 4;
    let policy = u32::from_le_bytes(*state[head..].first_chunk().unwrap()) as usize;
    head + 4 + policy + 4
}

fn greet(world: &World) -> OwnedFd {
    let flag = SocketFlags::CLOEXEC;
    let session = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flag, None).unwrap();
    let address = SocketAddrUnix::new(world.path("move")).unwrap();
    rustix::net::connect(&session, &address).unwrap();
    send(&session, &message(HELLO, 0, TRANSPORT), SendFlags::empty()).unwrap();
    let mut bytes = [0; 16];
    recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    assert_eq!(bytes[1], WELCOME);
    session
}

/// Sends a connection with this state, and returns the answer.
fn give(session: &OwnedFd, socket: &TcpStream, state: &[u8]) -> u8 {
    let mut cargo = message(CONNECTION, WITH_STATE, 0);
    cargo.extend(socket_cookie(socket).unwrap().to_le_bytes());
    cargo.extend([1, 1]);
    cargo.extend((state.len() as u32).to_le_bytes());
    cargo.extend(b"\x04http");
    cargo.extend(state);
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [socket.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let parts = [IoSlice::new(&cargo)];
    sendmsg(session, &parts, &mut control, SendFlags::empty()).unwrap();
    let mut bytes = [0; 16];
    recv(session, &mut bytes[..], RecvFlags::empty()).unwrap();
    bytes[1]
}

/// Each byte changed, each cut: refused, or a connection that nobody can read. Nothing else is disturbed.
#[test]
fn what_was_changed_on_the_way_harms_nobody() {
    for version in [&TLS12, &TLS13] {
        let world = World::new();
        let mut old = world.start();
        let config = Arc::new(world.config(&[version]));
        let mut client = Client::connect(world.address, &config);
        client.who();
        let state = state_of(&world, &old);
        // It was put together again.
        assert!(client.get("/").unwrap().0.contains("connection: close"));
        old.report();

        let new = world.start();
        let mut bystander = Client::connect(world.address, &config);
        bystander.who();
        let session = greet(&world);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cuts = (0..state.len()).map(|cut| state[..cut].to_vec());
        let changes = (0..state.len()).flat_map(|place| {
            [1, 0x80, 0xff].map(|bits| {
                let mut changed = state.clone();
                changed[place] ^= bits;
                changed
            })
        });
        let (mut refused, mut taken) = (0, 0);
        for changed in cuts.chain(changes) {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let socket = listener.accept().unwrap().0;
            match give(&session, &socket, &changed) {
                NAK => refused += 1,
                ACK => {
                    taken += 1;
                    // A record under an unknown key.
                    client.write_all(&[23, 3, 3, 0, 32]).unwrap();
                    client.write_all(&[7; 32]).unwrap();
                }
                other => panic!("{other}"),
            }
        }
        // States of another layout, or of another s2n-tls: their first bytes.
        for place in (0..8).chain(exported(&state)..exported(&state) + 1) {
            let mut of_another_version = state.clone();
            of_another_version[place] ^= 3;
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let socket = listener.accept().unwrap().0;
            assert_eq!(give(&session, &socket, &of_another_version), NAK, "{place}");
        }
        println!("measured: {refused} states refused, {taken} taken and of no use to anybody");
        assert!(refused > state.len(), "every cut, at least");
        assert_eq!(bystander.who(), new.id());
        assert_eq!(Client::connect(world.address, &config).who(), new.id());
        assert!(!new.story().contains("panicked"), "{}", new.story());
    }
}
