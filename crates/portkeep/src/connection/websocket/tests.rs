use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::*;
use crate::SessionState;
use crate::connection::Arrival;
use crate::connection::test_transport::{Flush, KEYS, Moments, behind};
use crate::drain::{Phase, Shared};
use crate::listen::Stream;
use crate::moving::{Speaks, departures};
use crate::websocket::{AddressedState, MOST_BYTES};

/// Longer than any refusal takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A WebSocket, its client, and the server that it is of. Nobody takes anything.
fn websocket() -> (RawWebSocket, UnixStream, Arc<Shared>) {
    over(Stream::Unix)
}

fn over(stream: impl Fn(UnixStream) -> Stream) -> (RawWebSocket, UnixStream, Arc<Shared>) {
    let (server, client) = UnixStream::pair().unwrap();
    let (departures, inbox) = departures();
    // As when nobody sends any more.
    drop(inbox);
    let shared = Arc::new(Shared::new(Duration::from_secs(20), departures));
    let io = Io::new(Arrival::rehearsed(stream(server)), &shared);
    (RawWebSocket::moved(io), client, shared)
}

/// A WebSocket whose connection goes through a transport, in a process that ends.
async fn through_a_transport() -> (RawWebSocket, UnixStream, Arc<Moments>) {
    let (server, client) = UnixStream::pair().unwrap();
    let shared = Arc::new(Shared::new(Duration::from_secs(20), departures().0));
    let (io, moments) = behind(server, &shared).await;
    shared.phases.advance(Phase::Moving);
    (RawWebSocket::moved(io), client, moments)
}

fn state() -> SessionState {
    SessionState::new(1, *b"state")
}

/// Unmasked: whoever counts does not care.
fn frame(first: u8, length: u16) -> Vec<u8> {
    let mut frame = vec![first, 126];
    frame.extend(length.to_be_bytes());
    frame.resize(4 + usize::from(length), b'x');
    frame
}

async fn read(socket: &mut RawWebSocket, room: usize) -> Vec<u8> {
    let mut bytes = vec![0; room];
    let length = socket.read(&mut bytes).await.unwrap();
    bytes.truncate(length);
    bytes
}

async fn refusal(socket: RawWebSocket) -> (RawWebSocket, Refusal) {
    let refused = refuses(socket, "chat", state()).await;
    (refused.socket, refused.reason)
}

/// It is not waited for: whoever does not refuse waits until the server drains, which may be never here.
async fn refuses(socket: RawWebSocket, handler: &str, state: SessionState) -> Refused {
    let handing = timeout(PATIENCE, hand_over(socket, handler, state)).await;
    handing.expect("it is not refused").unwrap_err()
}

#[tokio::test]
async fn no_read_goes_beyond_a_frame() {
    let (mut socket, mut client, _) = websocket();
    let (one, two) = (frame(0x81, 200), frame(0x89, 3));
    let all = [&one[..], &two, &one[..10]].concat();
    client.write_all(&all).await.unwrap();
    assert_eq!(read(&mut socket, 4096).await, one);
    assert_eq!(read(&mut socket, 2).await, two[..2]);
    assert_eq!(read(&mut socket, 4096).await, two[2..]);
    assert_eq!(read(&mut socket, 4096).await, one[..10]);
    client.write_all(&one[10..]).await.unwrap();
    assert_eq!(read(&mut socket, 4096).await, one[10..]);
}

/// Whoever asks what is in it, gets its beginning again.
#[tokio::test]
async fn what_has_come_of_a_message_is_read_again() {
    for (phase, reason) in [
        (Phase::Moving, Refusal::NotTaken),
        (Phase::Draining, Refusal::NoSuccessor),
    ] {
        let (mut socket, mut client, shared) = websocket();
        shared.phases.advance(phase);
        let whole = frame(0x81, 5);
        // Two fragments with a ping between them, a part of the last one, and nothing of the one before.
        let parts = [frame(0x01, 9), frame(0x89, 0), frame(0x80, 7)];
        let message = parts.concat();
        let (first, rest) = message.split_at(message.len() - 3);
        client.write_all(&whole).await.unwrap();
        client.write_all(first).await.unwrap();
        assert_eq!(read(&mut socket, 4096).await, whole);
        assert_eq!(read(&mut socket, 4096).await, parts[0]);
        assert_eq!(read(&mut socket, 4096).await, parts[1]);
        assert_eq!(read(&mut socket, 3).await, parts[2][..3]);
        // However often.
        for _ in 0..3 {
            let reason_again;
            (socket, reason_again) = refusal(socket).await;
            assert_eq!(reason_again, reason);
            assert_eq!(read(&mut socket, 4096).await, parts[0]);
        }
        assert_eq!(read(&mut socket, 4096).await, parts[1]);
        client.write_all(rest).await.unwrap();
        let mut last = read(&mut socket, 4096).await;
        while last.len() < parts[2].len() {
            last.extend(read(&mut socket, 4096).await);
        }
        assert_eq!(last, parts[2]);
    }
}

/// It is asked for before anything is decided: nobody has to wait for it.
#[tokio::test]
async fn a_state_that_is_too_large_goes_nowhere() {
    let (socket, mut client, shared) = websocket();
    let large = SessionState::new(1, vec![0; 100_000_000]);
    let refused = refuses(socket, "chat", large).await;
    let said = format!("{refused}");
    assert!(said.contains("a state of 100000000 bytes"), "{said}");
    assert!(said.contains("1048576"), "{said}");
    let long = "n".repeat(256);
    let refused = refuses(refused.socket, &long, state()).await;
    assert_eq!(
        refused.reason,
        Refusal::TooLarge {
            bytes: 5,
            name: 256
        }
    );
    // As much as may go along is not refused for that.
    shared.phases.advance(Phase::Draining);
    let most = SessionState::new(1, vec![0; MOST_BYTES]);
    let refused = refuses(refused.socket, "chat", most).await;
    assert_eq!(refused.reason, Refusal::NoSuccessor);
    let mut socket = refused.socket;
    client.write_all(&frame(0x81, 5)).await.unwrap();
    assert_eq!(read(&mut socket, 4096).await, frame(0x81, 5));
}

#[tokio::test]
async fn what_is_half_written_stays() {
    let (mut socket, mut client, shared) = websocket();
    shared.phases.advance(Phase::Moving);
    let message = frame(0x81, 300);
    socket.write_all(&message[..7]).await.unwrap();
    let (mut socket, reason) = refusal(socket).await;
    assert_eq!(reason, Refusal::HalfWritten);
    socket.write_all(&message[7..]).await.unwrap();
    let (socket, reason) = refusal(socket).await;
    assert_eq!(reason, Refusal::NotTaken);
    drop(socket);
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, message);
}

/// Flushed it has to be, too: what a transport keeps back would be lost.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_flushed_stays() {
    let (mut socket, mut client, moments) = through_a_transport().await;
    let message = frame(0x81, 300);
    socket.write_all(&message).await.unwrap();
    for flush in [Flush::Waits, Flush::Fails] {
        *moments.flush.lock().unwrap() = flush;
        let reason;
        (socket, reason) = refusal(socket).await;
        assert_eq!(reason, Refusal::HalfWritten, "{flush:?}");
    }
    *moments.flush.lock().unwrap() = Flush::Ends;
    let (socket, reason) = refusal(socket).await;
    assert_eq!(reason, Refusal::NotTaken);
    drop(socket);
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, message);
}

/// The rest of a record is read before it goes, however long its messages are: up to a MiB. Nothing that was read is lost.
#[tokio::test]
async fn half_a_record_is_waited_for_up_to_a_bound() {
    const MOST: usize = 1024 * 1024;
    for (whole_after, expected) in [
        (MOST, Refusal::NotTaken),
        (MOST + 1, Refusal::HalfRead),
        (MOST + 700, Refusal::HalfRead),
    ] {
        let (mut socket, mut client, moments) = through_a_transport().await;
        moments.whole_after.store(whole_after, SeqCst);
        let messages: Vec<u8> = (0..2 * MOST as u64 / 8)
            .flat_map(|number| [&[0x82, 6][..], &number.to_be_bytes()[2..]].concat())
            .collect();
        let sent = messages.clone();
        let writing = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client
        });
        let reason;
        (socket, reason) = refusal(socket).await;
        assert_eq!(reason, expected, "{whole_after}");
        // By another record it is whole.
        moments.whole_after.store(0, SeqCst);
        let mut got = Vec::new();
        while got.len() < messages.len() {
            got.extend(read(&mut socket, 4096).await);
        }
        assert!(got == messages, "{whole_after}: something else was read");
        drop(writing.await.unwrap());
    }
}

/// Its end is skipped: what follows is whole.
#[tokio::test]
async fn what_is_long_and_half_read_stays_and_is_skipped() {
    let (mut socket, mut client, shared) = websocket();
    shared.phases.advance(Phase::Moving);
    let fragments = MOST_KEPT / 60_000 + 1;
    let writing = tokio::spawn(async move {
        for _ in 0..fragments {
            client.write_all(&frame(0x01, 60_000)).await.unwrap();
        }
        client
    });
    let mut come = 0;
    while come < fragments * 60_004 {
        come += read(&mut socket, 4096).await.len();
    }
    let mut client = writing.await.unwrap();
    for _ in 0..2 {
        let reason;
        (socket, reason) = refusal(socket).await;
        assert_eq!(reason, Refusal::HalfRead);
    }
    let next = frame(0x82, 6);
    let rest = [frame(0x00, 9), frame(0x89, 2), frame(0x80, 9), next.clone()];
    client.write_all(&rest.concat()).await.unwrap();
    assert_eq!(read(&mut socket, 4096).await, next);
    let (_, reason) = refusal(socket).await;
    assert_eq!(reason, Refusal::NotTaken);
}

#[tokio::test]
async fn what_says_goodbye_or_is_compressed_stays() {
    for (first, expected) in [(0x88, Refusal::Closing), (0xc1, Refusal::Extension)] {
        let (mut socket, mut client, _) = websocket();
        client.write_all(&frame(first, 2)).await.unwrap();
        read(&mut socket, 4096).await;
        let (socket, reason) = refusal(socket).await;
        assert_eq!(reason, expected);
        assert_eq!(refusal(socket).await.1, expected);
        let (mut socket, _client, _) = websocket();
        socket.write_all(&frame(first, 2)).await.unwrap();
        assert_eq!(refusal(socket).await.1, expected);
    }
}

#[tokio::test]
async fn what_is_behind_an_acceptor_stays() {
    let (socket, mut client, _) = over(|stream| Stream::Wrapped(Box::new(stream)));
    let (mut socket, reason) = refusal(socket).await;
    assert_eq!(reason, Refusal::CannotMove);
    client.write_all(&frame(0x81, 5)).await.unwrap();
    assert_eq!(read(&mut socket, 4096).await, frame(0x81, 5));
}

#[tokio::test]
async fn at_the_deadline_it_is_cut() {
    let (socket, mut client, shared) = websocket();
    let asked = tokio::spawn(refusal(socket));
    tokio::task::yield_now().await;
    assert!(!asked.is_finished(), "nobody has said that it ends");
    shared.phases.advance(Phase::Cut);
    let (mut socket, reason) = asked.await.unwrap();
    assert_eq!(reason, Refusal::Cut);
    assert!(socket.write_all(b"x").await.is_err());
    assert!(socket.read_u8().await.is_err());
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

/// With the state, and with what its library has read.
#[tokio::test]
async fn what_goes_along() {
    let (server, mut client) = UnixStream::pair().unwrap();
    let (departures, mut inbox) = departures();
    let shared = Arc::new(Shared::new(Duration::from_secs(20), departures));
    let io = Io::new(Arrival::rehearsed(Stream::Unix(server)), &shared);
    let mut socket = RawWebSocket::moved(io);
    shared.phases.advance(Phase::Moving);
    let all = [frame(0x81, 3), frame(0x01, 9), frame(0x80, 9)].concat();
    client.write_all(&all).await.unwrap();
    read(&mut socket, 4096).await;
    read(&mut socket, 4096).await;
    let handing = tokio::spawn(hand_over(socket, "chat", state()));
    let departure = inbox.recv().await.unwrap();
    assert_eq!(departure.transfer().unread, all[7..]);
    let Speaks::WebSocket(addressed) = &departure.transfer().speaks else {
        panic!("{departure:?}");
    };
    let expected = AddressedState {
        handler: "chat".to_owned(),
        state: state(),
    };
    assert_eq!(AddressedState::decode(addressed.expose()), Some(expected));
    departure.arrived();
    handing.await.unwrap().unwrap();
    assert_eq!(shared.live(), 0);
}

/// So does the state of its transport, and comes back if nobody takes it.
#[tokio::test]
async fn a_transports_state_goes_along_and_comes_back() {
    let (socket, mut client, moments) = through_a_transport().await;
    let (mut socket, reason) = refusal(socket).await;
    assert_eq!(reason, Refusal::NotTaken);
    assert_eq!(moments.reassembled.load(SeqCst), 1);
    client.write_all(&frame(0x81, 5)).await.unwrap();
    assert_eq!(read(&mut socket, 4096).await, frame(0x81, 5));

    let (server, _client) = UnixStream::pair().unwrap();
    let (departures, mut inbox) = departures();
    let shared = Arc::new(Shared::new(Duration::from_secs(20), departures));
    let (io, _) = behind(server, &shared).await;
    shared.phases.advance(Phase::Moving);
    let handing = tokio::spawn(hand_over(RawWebSocket::moved(io), "chat", state()));
    let departure = inbox.recv().await.unwrap();
    let transport = departure.transfer().transport.as_ref();
    assert_eq!(transport.map(|state| state.expose()), Some(KEYS));
    departure.arrived();
    handing.await.unwrap().unwrap();
}
