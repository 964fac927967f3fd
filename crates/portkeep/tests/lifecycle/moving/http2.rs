//! HTTP/2 connections that outlive their process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use rustix::process::Signal;

use super::World;
use crate::http2::{GOAWAY, PING, connect, raw, read_until, request};
use crate::manager::Process;
use crate::probe;

/// `GET /`, behind the word that the client's table is empty or not.
const EMPTY: &[u8] = b"\x20\x82\x86\x84";
const PLAIN: &[u8] = b"\x82\x86\x84";

async fn ask(client: &mut SendRequest<Empty<Bytes>>, path: &str) -> String {
    client.ready().await.unwrap();
    let answer = client.send_request(request(path)).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn address(world: &World) -> SocketAddr {
    world.listener.local_addr().unwrap()
}

/// Takes the place of `old`, and waits for its end.
#[track_caller]
fn replace(world: &World, old: &mut Process) -> Process {
    let new = world.start();
    old.drain();
    let report = old.report();
    assert!(
        report.contains("1 moved, 0 idle closed, nothing cut"),
        "{report}"
    );
    new
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_keeps_its_connection_through_generations() {
    let world = World::new();
    let mut current = world.start();
    let (mut client, connection) = connect(address(&world)).await;
    for _ in 0..5 {
        // Twice: the first one may have been written before the settings came.
        for _ in 0..2 {
            assert_eq!(ask(&mut client, "/").await, current.id().to_string());
        }
        current = replace(&world, &mut current);
    }
    assert_eq!(ask(&mut client, "/").await, current.id().to_string());
    assert!(!connection.is_finished());
    // The last one has nobody to give it to, and ends it well.
    drop(client);
    connection.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_moves_when_its_last_stream_ends() {
    let world = World::new();
    let mut old = world.start();
    let (mut client, connection) = connect(address(&world)).await;
    for _ in 0..2 {
        ask(&mut client, "/").await;
    }
    let slow = client.send_request(request("/slow/500"));
    ask(&mut client, "/").await;
    let new = world.start();
    old.drain();
    let body = slow.await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "slow");
    let report = old.report();
    assert!(report.contains("1 moved"), "{report}");
    assert_eq!(ask(&mut client, "/").await, new.id().to_string());
    assert!(!connection.is_finished());
}

fn send(socket: &mut TcpStream, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    socket.write_all(&frame).unwrap();
}

/// Asks, and waits for the end of the answer.
fn raw_ask(socket: &mut TcpStream, stream: u32, block: &[u8]) -> String {
    send(socket, 1, 5, stream, block);
    let answer = read_until(socket, 0);
    assert_eq!((answer.1 & 1, answer.2), (1, stream));
    String::from_utf8(answer.3).unwrap()
}

/// Hears in two steps that it ends, the last stream named, and then the end.
fn ends_well(socket: &mut TcpStream, last: u32) {
    assert_eq!(read_until(socket, GOAWAY).3[..4], [0x7f, 0xff, 0xff, 0xff]);
    let ping = read_until(socket, PING).3;
    send(socket, PING, 1, 0, &ping);
    let goaway = read_until(socket, GOAWAY).3;
    assert_eq!(goaway[..8], [&last.to_be_bytes()[..], &[0; 4]].concat());
    assert_eq!(socket.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_client_that_does_not_give_up_its_table_ends_as_before() {
    let world = World::new();
    let mut old = world.start();
    let mut socket = raw(address(&world));
    for stream in [1, 3] {
        assert_eq!(raw_ask(&mut socket, stream, PLAIN), old.id().to_string());
    }
    let _new = world.start();
    old.drain();
    ends_well(&mut socket, 3);
    assert!(old.report().contains("0 moved"));
}

#[test]
fn a_client_that_never_acknowledges_the_settings_ends_as_before() {
    let world = World::new();
    let mut old = world.start();
    let mut socket = TcpStream::connect(address(&world)).unwrap();
    socket
        .set_read_timeout(Some(crate::manager::PATIENCE))
        .unwrap();
    socket
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    for stream in [1, 3] {
        assert_eq!(raw_ask(&mut socket, stream, EMPTY), old.id().to_string());
    }
    let _new = world.start();
    old.drain();
    ends_well(&mut socket, 3);
    assert!(old.report().contains("0 moved"));
}

/// Once it has moved, it is as strict as before.
#[test]
fn violations_after_a_move_end_the_connection_and_no_other() {
    /// Kind, flags, stream, payload, and the error that the server names.
    type Violation = (u8, u8, u32, &'static [u8], u8);
    let violations: [Violation; 5] = [
        // The number of a stream that is over, and an even one.
        (1, 5, 1, PLAIN, 1),
        (1, 5, 2, PLAIN, 1),
        // A reference to a table that is empty, and a larger table than is allowed.
        (1, 5, 5, b"\xbe", 9),
        (1, 5, 5, b"\x3f\xe1\x1f\x82\x86\x84", 9),
        // A window beyond all bounds.
        (8, 0, 0, b"\x7f\xff\xff\xff", 3),
    ];
    let world = World::new();
    let mut old = world.start();
    let mut sockets: Vec<_> = violations
        .iter()
        .map(|_| {
            let mut socket = raw(address(&world));
            raw_ask(&mut socket, 3, EMPTY);
            socket
        })
        .collect();
    let mut other = raw(address(&world));
    raw_ask(&mut other, 1, EMPTY);
    let new = world.start();
    old.drain();
    assert!(old.report().contains("6 moved"));
    for (socket, (kind, flags, stream, payload, code)) in sockets.iter_mut().zip(violations) {
        send(socket, kind, flags, stream, payload);
        let goaway = read_until(socket, GOAWAY).3;
        // h2 calls what cannot be decompressed a violation of the protocol.
        let codes = [code, 1];
        assert!(codes.contains(&goaway[7]), "{goaway:?} for {payload:x?}");
    }
    assert_eq!(raw_ask(&mut other, 3, PLAIN), new.id().to_string());
}

/// What it had acknowledged dies with it; the rest is served on, and is told the truth when it ends.
#[test]
fn a_next_generation_that_hangs_or_dies_takes_nothing_along() {
    let world = World::new();
    let mut old = world.start();
    let mut sockets: Vec<_> = (0..10)
        .map(|_| {
            let mut socket = raw(address(&world));
            raw_ask(&mut socket, 1, EMPTY);
            socket
        })
        .collect();
    let new = world.start();
    new.stop();
    old.drain();
    old.logged("end here");
    new.signal(Signal::KILL);
    for socket in &mut sockets {
        ends_well(socket, 1);
    }
    assert!(old.report().contains("0 moved"));
}

/// A switch for who rather has short heads of requests.
#[test]
fn it_can_be_switched_off() {
    let world = World::new();
    let mut old = world.setup().set(probe::KEEPS_HTTP2, 1).start_ready();
    let mut socket = raw(address(&world));
    // It may have a table.
    raw_ask(&mut socket, 1, b"\x3f\xe1\x1f\x82\x86\x84");
    let _new = world.start();
    old.drain();
    ends_well(&mut socket, 1);
    assert!(old.report().contains("0 moved"));
}
