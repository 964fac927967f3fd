//! What takes longer than a handover.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::{self, Message, protocol::frame::coding::CloseCode};

use super::{World, has_moved_one, who};
use crate::client::{Client, get};
use crate::manager::{PATIENCE, Process};
use crate::probe::LARGE;

/// The next answers; who asks at once may be answered by the old one before it moves the connection.
#[track_caller]
fn goes_on_to(client: &mut Client, old: &Process, new: &Process) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let id = who(client);
        if id == new.id() {
            return;
        }
        assert_eq!(id, old.id());
        assert!(Instant::now() < deadline, "it was not moved");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The client does not hear of it: its answer comes from one process, and its next one from another,
/// over the same connection.
#[test]
fn a_download_of_100_megabytes() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    client.send(get("/download")).unwrap();
    let (status, close, length) = client.head().unwrap();
    assert_eq!((status, close, length), (200, false, Some(LARGE)));
    let mut bytes = vec![0; LARGE / 2];
    client.socket.read_exact(&mut bytes).unwrap();
    let new = world.start();
    old.drain();
    // Slower than the drain of anything else.
    thread::sleep(Duration::from_millis(500));
    client.socket.read_exact(&mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == b'x'));
    goes_on_to(&mut client, &old, &new);
    has_moved_one(&mut old);
}

#[test]
fn an_upload_of_100_megabytes() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    let head = format!("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: {LARGE}\r\n\r\n");
    client.send(head).unwrap();
    let half = vec![b'x'; LARGE / 2];
    client.send(&half).unwrap();
    let new = world.start();
    old.drain();
    thread::sleep(Duration::from_millis(500));
    client.send(&half).unwrap();
    let answer = client.answer().unwrap();
    assert!(!answer.close);
    assert_eq!(answer.body, format!("{LARGE} {}", old.id()));
    goes_on_to(&mut client, &old, &new);
    has_moved_one(&mut old);
}

/// The stream ends in good order, and what an `EventSource` asks then is answered by the next, over
/// the same connection.
#[test]
fn server_sent_events() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    let ask = |client: &mut Client| {
        client.send(get("/events")).unwrap();
        client.head().unwrap();
        assert_eq!(client.chunk().unwrap(), b"retry: 100\n\n");
        String::from_utf8(client.chunk().unwrap()).unwrap()
    };
    assert_eq!(ask(&mut client), format!("data: {}\n\n", old.id()));
    let new = world.start();
    old.drain();
    while !client.chunk().unwrap().is_empty() {}
    // As it was told to; one that asks at once may be told again, by the old one.
    thread::sleep(Duration::from_millis(100));
    assert_eq!(ask(&mut client), format!("data: {}\n\n", new.id()));
    has_moved_one(&mut old);
}

fn websocket(world: &World) -> tungstenite::WebSocket<TcpStream> {
    let address = world.listener.local_addr().unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let (mut websocket, _) = tungstenite::client(format!("ws://{address}/ws"), socket).unwrap();
    websocket.send(Message::text("hello")).unwrap();
    assert_eq!(websocket.read().unwrap(), Message::text("hello"));
    websocket
}

/// It is told why, and the one it opens then is served by the next.
#[test]
fn a_websocket_is_closed_with_1012() {
    let world = World::new();
    let mut old = world.start();
    let mut client = websocket(&world);
    let _new = world.start();
    old.drain();
    let Message::Close(Some(frame)) = client.read().unwrap() else {
        panic!("no close frame");
    };
    assert_eq!(frame.code, CloseCode::Restart);
    assert!(client.read().is_err(), "it is closed");
    drop(client);
    let report = old.report();
    assert!(report.contains("nothing cut"), "{report}");
    assert!(report.starts_with("STATUS=drained in "), "{report}");
    websocket(&world);
}

/// One that says nothing more is given two seconds, and not the whole drain.
#[test]
fn a_websocket_whose_client_is_gone_ends_too() {
    let world = World::new();
    let mut old = world.start();
    let mut client = websocket(&world);
    let _new = world.start();
    let began = old.drain();
    let report = old.report();
    let took = began.elapsed();
    assert!(report.contains("nothing cut"), "{report}");
    assert!(
        (Duration::from_millis(1500)..Duration::from_secs(5)).contains(&took),
        "{took:?}"
    );
    // It was told.
    let mut bytes = [0; 2];
    client.get_mut().read_exact(&mut bytes).unwrap();
    assert_eq!(bytes[0], 0x88, "a close frame");
    let _ = client.get_mut().flush();
}
