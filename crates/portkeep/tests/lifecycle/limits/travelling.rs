//! What a connection has behind it goes along when it moves: else one whose client is lost would live for ever.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, recv, send, sendmsg, socket_with,
};

use super::{readable, short};
use crate::client::Client;
use crate::manager::{PATIENCE, Process, Setup};
use crate::moving::{World, who};

/// Longer than any generation lives here.
const LIMIT: &str = "4000000";

/// Replaces generations until `ended`.
#[track_caller]
fn replace_until(world: &World, setup: impl Fn() -> Setup, mut ended: impl FnMut() -> bool) -> u32 {
    let deadline = Instant::now() + 2 * PATIENCE;
    let mut old = setup().start_ready();
    let mut generations = 0;
    let _ = world;
    while !ended() {
        assert!(
            Instant::now() < deadline,
            "it outlived {generations} generations"
        );
        thread::sleep(Duration::from_millis(300));
        let new = setup().start_ready();
        old.drain();
        old.report();
        old = new;
        generations += 1;
    }
    generations
}

#[test]
fn idle_time_goes_along() {
    let world = World::new();
    let first = world
        .setup()
        .set("PORTKEEP_LIMIT_IDLE_USEC", LIMIT)
        .start_ready();
    let mut client = world.client();
    who(&mut client);
    let mut half = world.accepted();
    half.send("GET / HT").unwrap();
    let setup = || {
        let setup = short(world.setup(), &[]).set("PORTKEEP_LIMIT_HEAD_USEC", LIMIT);
        setup.set("PORTKEEP_LIMIT_IDLE_USEC", LIMIT)
    };
    let mut first = Some(first);
    let generations = replace_until(&world, setup, || {
        if let Some(mut first) = first.take() {
            first.drain();
            first.report();
        }
        readable(&client) && readable(&half)
    });
    println!("measured: ended in generation {generations}");
    client.ended().unwrap();
    assert_eq!(half.answer().unwrap().status, 408);
}

#[test]
fn age_goes_along() {
    let world = World::new();
    let setup = || short(world.setup(), &[]).set("PORTKEEP_LIMIT_AGE_USEC", LIMIT);
    let mut client = None;
    let generations = replace_until(&world, setup, || {
        let client = client.get_or_insert_with(|| world.client());
        client.get("/").unwrap().close
    });
    assert!(generations >= 3, "it was not that old: {generations}");
}

fn message(kind: u8, flags: u8, features: u64) -> Vec<u8> {
    let mut message = vec![0; 16];
    (message[0], message[1], message[2]) = (1, kind, flags);
    message[8..].copy_from_slice(&features.to_le_bytes());
    message
}

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const CONNECTION: u8 = 3;
const ACK: u8 = 4;
/// It speaks HTTP/1, and had a request.
const USED: u8 = 3;
const WITH_TIMES: u8 = 8;

/// What a generation sends to a next one that knows these features.
fn sent_to(features: u64) -> Vec<u8> {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    who(&mut client);
    thread::sleep(Duration::from_millis(100));
    old.drain();
    let session = world.next_session();
    let mut bytes = vec![0; 70_000];
    let (hello, _) = recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    // It fits into what a generation of the first edition reads.
    assert_eq!((hello, bytes[0], bytes[1], bytes[2]), (16, 1, HELLO, 0));
    send(&session, &message(WELCOME, 0, features), SendFlags::empty()).unwrap();
    let (length, _) = recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    send(&session, &message(ACK, 0, 0), SendFlags::empty()).unwrap();
    assert!(old.report().contains("1 moved"));
    bytes.truncate(length);
    bytes
}

/// A generation of the first edition, which refuses what it does not know.
#[test]
fn an_older_next_generation_is_sent_what_it_knows() {
    let sent = sent_to(0);
    assert_eq!((sent[1], sent[2]), (CONNECTION, USED));
    assert_eq!(sent[16..], *b"\x04http");
    // One that is newer than this one, too.
    let sent = sent_to(u64::MAX);
    assert_eq!((sent[1], sent[2]), (CONNECTION, USED | WITH_TIMES));
    let time = |place: usize| u64::from_le_bytes(sent[place..place + 8].try_into().unwrap());
    let (waited, age) = (time(16), time(24));
    assert!(
        waited <= age && (100..60_000).contains(&age),
        "{waited} {age}"
    );
    assert_eq!(sent[32..], *b"\x04http");
}

/// A client's connection as a generation of the first edition, or a newer one, gives it.
fn give(world: &World, new: &Process, hello: u64, flags: u8, times: &[u8]) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::connect(listener.local_addr().unwrap()).unwrap();
    let connection = listener.accept().unwrap().0;
    let flag = SocketFlags::CLOEXEC;
    let session: OwnedFd =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flag, None).unwrap();
    let address = SocketAddrUnix::new(world.directory.path().join("move")).unwrap();
    rustix::net::connect(&session, &address).unwrap();
    send(&session, &message(HELLO, 0, hello), SendFlags::empty()).unwrap();
    let mut bytes = [0; 16];
    recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    assert_eq!((bytes[1], bytes[2]), (WELCOME, 0), "{}", new.story());
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [std::os::fd::AsFd::as_fd(&connection)];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let cargo = [
        message(CONNECTION, flags, 0),
        times.to_vec(),
        b"\x04http".to_vec(),
    ]
    .concat();
    let parts = [std::io::IoSlice::new(&cargo)];
    sendmsg(&session, &parts, &mut control, SendFlags::empty()).unwrap();
    recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    assert_eq!(bytes[1], ACK, "{}", new.story());
    client
}

#[test]
fn an_older_and_a_newer_generation_are_understood() {
    let world = World::new();
    let new = world.setup().set("PORTKEEP_LIMIT_IDLE_USEC", 60_000_000);
    let mut new = new.start_ready();
    let mut old_ones = give(&world, &new, 0, USED, &[]);
    assert_eq!(who(&mut old_ones), new.id());
    let mut newer = give(&world, &new, u64::MAX, USED | WITH_TIMES, &[0; 16]);
    assert_eq!(who(&mut newer), new.id());
    // A year idle, or for ever: it ends.
    for long in [[0, 0, 0, 0, 10, 0, 0, 0], [0xff; 8]] {
        let times = [long, long].concat();
        give(&world, &new, 1, USED | WITH_TIMES, &times)
            .ended()
            .unwrap();
    }
    drop((old_ones, newer));
    new.drain();
    assert!(new.report().contains("; limits ended 2: 2 idle"));
}
