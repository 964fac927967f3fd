//! WebSockets that are handed over, and those that cannot be: their clients hear why.

use std::io::Write;
use std::net::TcpStream;
use std::time::SystemTime;

use rustix::net::sockopt::socket_cookie;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

use super::World;
use super::chat::{WebSocket, join, setup, start};
use super::transport::{ACK, NAK, Old, TIMES, TRANSPORT, WELCOME, layer_states, message, play};
use crate::manager::{PATIENCE, Process};
use crate::probe;

/// What a generation knows that takes WebSockets.
const WEBSOCKET: u64 = 8;
/// Nothing but that a list of what goes along follows.
const WITH_LAYER_STATES: u8 = 16;
/// What goes along of a WebSocket.
const KIND: u8 = 3;

fn say(socket: &mut WebSocket, line: &str) {
    socket.send(Message::text(line)).unwrap();
    let heard = socket.read().unwrap();
    assert!(
        heard.to_text().unwrap().ends_with(&format!(": {line}")),
        "{heard}"
    );
}

/// Closed in good order, by this process; and the next one serves the client then.
#[track_caller]
fn ends_well(mut socket: WebSocket, mut old: Process) {
    let Message::Close(Some(frame)) = socket.read().unwrap() else {
        panic!("no close frame");
    };
    assert_eq!(frame.code, CloseCode::Restart);
    assert!(socket.read().is_err(), "it is closed");
    let report = old.report();
    assert!(
        report.contains("0 moved, 0 idle closed, nothing cut"),
        "{report}"
    );
    assert!(!report.contains("handed over"), "{report}");
}

#[test]
fn a_version_that_does_not_understand_the_state_gets_none() {
    let world = World::new();
    let old = start(&world);
    let mut socket = join(&world, "a");
    say(&mut socket, "hello");
    let new = setup(&world).set(probe::FOREIGN, 1).start_ready();
    old.drain();
    let said = new.logged("cannot be taken over");
    assert!(
        said.contains("does not understand a state of version 1: only version 7"),
        "{said}"
    );
    ends_well(socket, old);
    say(&mut join(&world, "a"), "again");
}

#[test]
fn a_version_without_a_handler_gets_none() {
    let world = World::new();
    let old = start(&world);
    let mut socket = join(&world, "a");
    say(&mut socket, "hello");
    let new = world.start();
    old.drain();
    let said = new.logged("cannot be taken over");
    assert!(said.contains("no handler \"chat\""), "{said}");
    ends_well(socket, old);
}

#[test]
fn an_older_library_gets_none() {
    let world = World::new();
    let old = start(&world);
    let mut socket = join(&world, "a");
    say(&mut socket, "hello");
    old.drain();
    let session = world.next_session();
    recv(&session, &mut [0; 64][..], RecvFlags::empty()).unwrap();
    let welcome = message(WELCOME, 0, TIMES | TRANSPORT);
    send(&session, &welcome, SendFlags::empty()).unwrap();
    old.logged("does not know");
    ends_well(socket, old);
}

/// Before it has said that it has it, it has not.
#[test]
fn one_that_dies_has_not_taken_it() {
    let world = World::new();
    let old = start(&world);
    let mut socket = join(&world, "a");
    say(&mut socket, "hello");
    old.drain();
    let sent = play(&world, WEBSOCKET, 1, 0);
    assert_eq!(sent[0][2], WITH_LAYER_STATES | 2, "{sent:?}");
    ends_well(socket, old);
}

/// Behind that it has, and what it owned dies with it.
#[test]
fn one_that_dies_takes_what_it_owned() {
    let world = World::new();
    let mut old = start(&world);
    let mut socket = join(&world, "a");
    say(&mut socket, "hello");
    old.drain();
    play(&world, WEBSOCKET, 1, 1);
    assert!(socket.read().is_err(), "it is nobody's");
    let report = old.report();
    assert!(report.contains("1 moved"), "{report}");
    assert!(report.contains("; 1 WebSockets handed over"), "{report}");
}

/// There is no next generation.
#[test]
fn the_last_generation_ends_it() {
    let world = World::new();
    let old = start(&world);
    let mut socket = join(&world, "a");
    say(&mut socket, "hello");
    old.drain();
    ends_well(socket, old);
}

/// The host is taken out, the process goes on.
#[test]
fn one_that_is_taken_out_is_told_to_come_back() {
    let world = World::new();
    let file = world.directory.path().join("drain");
    let process = setup(&world)
        .set("PORTKEEP_DRAIN_FILES", file.display())
        .start_ready();
    let mut socket = join(&world, "a");
    say(&mut socket, "hello");
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    std::fs::write(&file, format!("{} 0\n", now.as_micros())).unwrap();
    let Message::Close(Some(frame)) = socket.read().unwrap() else {
        panic!("no close frame");
    };
    assert_eq!(frame.code, CloseCode::Restart);
    process.logged("was taken out");
}

/// A half of a message is with the old one, and the whole message is said once.
#[test]
fn half_a_message_goes_along() {
    for fragments in [false, true] {
        let world = World::new();
        let mut old = start(&world);
        let mut socket = join(&world, "a");
        say(&mut socket, "hello");
        let mask = [1, 2, 3, 4];
        let masked = |text: &[u8]| -> Vec<u8> {
            text.iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect()
        };
        let frame = |first: u8, text: &[u8]| {
            [&[first, 0x80 | text.len() as u8][..], &mask, &masked(text)].concat()
        };
        let bytes = match fragments {
            true => [frame(0x01, b"good "), frame(0x80, b"morning")].concat(),
            false => frame(0x81, b"good morning"),
        };
        let (half, rest) = bytes.split_at(13);
        socket.get_mut().write_all(half).unwrap();
        // It has read that when it has answered this: a later byte of another one.
        say(&mut join(&world, "b"), "later");
        assert!(socket.read().unwrap().to_text().unwrap().ends_with("later"));
        let new = start(&world);
        old.drain();
        // Without the other, who is gone.
        let report = old.report();
        assert!(report.contains("; 1 WebSockets handed over"), "{report}");
        socket.get_mut().write_all(rest).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text("a: good morning"));
        say(&mut socket, "one");
        drop(new);
    }
}

/// The state of the example, as the example writes it.
fn state() -> Vec<u8> {
    let version = 1_u32.to_le_bytes();
    [&version[..], b"\x04chat", &0_u64.to_le_bytes(), b"eve"].concat()
}

/// None of them is resumed, none is touched, and the next one is taken; once.
#[test]
fn states_that_are_not_as_they_should_be_are_refused() {
    let world = World::new();
    let new = start(&world);
    let old = Old::greet(&world, u64::MAX);
    let (client, socket) = old.pair();
    let cookie = socket_cookie(&socket).unwrap();
    let state = state();
    let with = |state: &[u8]| layer_states(cookie, &[(KIND, state.len() as u32)], state);
    for length in 0..state.len() - 3 {
        assert_eq!(
            old.give(&socket, WITH_LAYER_STATES, &with(&state[..length])),
            NAK,
            "{length}"
        );
    }
    let mut unknown = state.clone();
    unknown[0] = 9;
    let mut nobody = state.clone();
    nobody[5] = b'C';
    let length = state.len() as u32;
    for (flags, bad) in [
        (WITH_LAYER_STATES, with(&unknown)),
        (WITH_LAYER_STATES, with(&nobody)),
        // It speaks HTTP/1, too.
        (WITH_LAYER_STATES | 1, with(&state)),
        // Another one's, twice, of two protocols, longer than it is, and than it may be.
        (
            WITH_LAYER_STATES,
            layer_states(cookie + 1, &[(KIND, length)], &state),
        ),
        (
            WITH_LAYER_STATES,
            layer_states(cookie, &[(KIND, 4), (KIND, length - 4)], &state),
        ),
        (
            WITH_LAYER_STATES,
            layer_states(cookie, &[(2, 4), (KIND, length - 4)], &state),
        ),
        (
            WITH_LAYER_STATES,
            layer_states(cookie, &[(KIND, length + 1)], &state),
        ),
        (
            WITH_LAYER_STATES,
            layer_states(cookie, &[(KIND, 100_000_000)], &state),
        ),
        // With a state of a transport, where there is none.
        (
            WITH_LAYER_STATES,
            layer_states(
                cookie,
                &[(1, 4), (KIND, length)],
                &[b"keys", &state[..]].concat(),
            ),
        ),
    ] {
        assert_eq!(old.give(&socket, flags, &bad), NAK, "{bad:?}");
    }
    assert_eq!(old.give(&socket, WITH_LAYER_STATES, &with(&state)), ACK);
    assert_eq!(
        old.give(&socket, WITH_LAYER_STATES, &with(&state)),
        NAK,
        "it is there already"
    );
    drop(socket);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut socket: tungstenite::WebSocket<TcpStream> =
        tungstenite::WebSocket::from_raw_socket(client, Role::Client, None);
    say(&mut socket, "hello");
    drop(new);
}
