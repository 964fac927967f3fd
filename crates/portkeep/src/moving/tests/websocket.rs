//! WebSockets that are handed over again and again, at any moment, with messages in any number of pieces.
//!
//! The app counts the messages of each, and the count is all that it hands over. So a message that is lost, doubled or out of
//! order is seen in the next answer. One in four hand-overs is refused by the next generation.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::routing::get;
use axum::{Router, body::Body};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::cipher::{self, Counter};
use super::generations::{Generations, Make, Outcome};
use super::{Through, number};
use crate::app::ErasedApp;
use crate::connection::Resumers;
use crate::seeded_random::SeededRandom;
use crate::{RawWebSocket, Refusal, SessionState, ShutdownToken, hand_over};

/// Connections at a time.
const AT_ONCE: u64 = 32;
/// Messages on a connection.
const MESSAGES: u64 = 30;
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Totals {
    handed_over: AtomicU64,
    refused: AtomicU64,
    asked: AtomicU64,
    /// Came to another generation in the middle of a message.
    midway: AtomicU64,
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum: u64, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    })
}

fn answer(count: u64, message: &[u8]) -> String {
    format!("{count} {} {}", message.len(), sum(message))
}

fn app(totals: &Arc<Totals>) -> Make {
    let totals = Arc::clone(totals);
    Box::new(move |ends| {
        let (upgraded, resumed) = (Arc::clone(&totals), Arc::clone(&totals));
        let (ends, end) = (ends.clone(), ends.clone());
        let upgrade = move |mut request: Request| async move {
            let answer = create_response_with_body(&request, Body::empty).unwrap();
            let upgrading = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let socket = RawWebSocket::new(upgrading.await.unwrap());
                talk(socket, 0, ends, upgraded).await;
            });
            answer
        };
        let mut resumers = Resumers::default();
        let asked = Arc::clone(&totals);
        resumers.add(
            "talk".to_owned(),
            move |state| understand(&state, &asked),
            move |socket, count| talk(socket, count, end.clone(), Arc::clone(&resumed)),
        );
        (
            ErasedApp::new(Router::new().route("/", get(upgrade))),
            resumers,
        )
    })
}

fn understand(state: &SessionState, totals: &Totals) -> Result<u64, &'static str> {
    assert_eq!(state.version(), 1);
    if totals.asked.fetch_add(1, Ordering::Relaxed) % 4 == 3 {
        return Err("not this one");
    }
    Ok(u64::from_le_bytes(state.bytes().try_into().unwrap()))
}

async fn talk(mut socket: RawWebSocket, mut count: u64, ends: ShutdownToken, totals: Arc<Totals>) {
    let mut asked = false;
    loop {
        let mut messages = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
        // One that was refused is asked for again, and serves meanwhile.
        let (ends, again) = (ends.started(), asked);
        let pause = async {
            match again {
                false => ends.await,
                true => sleep(Duration::from_millis(2)).await,
            }
        };
        let mut pause = std::pin::pin!(pause);
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                () = &mut pause => break,
            };
            match message {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    let answer = answer(count, &message.into_data());
                    count += 1;
                    messages.send(Message::text(answer)).await.unwrap();
                }
                Some(Ok(Message::Close(_))) => {
                    // Its answer is on its way out.
                    while let Some(Ok(_)) = messages.next().await {}
                    let _ = messages.get_mut().shutdown().await;
                    return;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{error}"),
                None => return,
            }
        }
        messages.flush().await.unwrap();
        let midway = !messages.get_ref().is_between_messages();
        let state = SessionState::new(1, count.to_le_bytes());
        match hand_over(messages.into_inner(), "talk", state).await {
            Ok(()) => {
                totals.handed_over.fetch_add(1, Ordering::Relaxed);
                totals.midway.fetch_add(midway.into(), Ordering::Relaxed);
                return;
            }
            Err(refused) => {
                totals.refused.fetch_add(1, Ordering::Relaxed);
                assert!(
                    matches!(
                        refused.reason,
                        Refusal::NotTaken | Refusal::NoSuccessor | Refusal::HalfRead
                    ),
                    "{refused}"
                );
                socket = refused.socket;
                asked = true;
            }
        }
    }
}

/// A frame of a client, masked.
fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// A message in some frames, with pings between them.
fn message(payload: &[u8], random: &mut SeededRandom) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = payload;
    let mut first = 0x02;
    loop {
        let mask = (random.below(u64::from(u32::MAX)) as u32).to_le_bytes();
        let length = match random.once_in(2) {
            true => rest.len(),
            false => random.below(rest.len() as u64 + 1) as usize,
        };
        let (part, after) = rest.split_at(length);
        rest = after;
        let last = if rest.is_empty() { 0x80 } else { 0 };
        bytes.extend(frame(first | last, part, mask));
        if rest.is_empty() {
            return bytes;
        }
        first = 0;
        if random.once_in(3) {
            bytes.extend(frame(0x89, b"ping", mask));
        }
    }
}

struct Client {
    stream: TcpStream,
    /// With a cipher: to the server, and from it with what has come of a record.
    sealed: Option<(Counter, Counter, Vec<u8>)>,
    read: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr, through: Through, random: &mut SeededRandom) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut sealed = None;
        if through == Through::Cipher {
            let key = random.below(u64::MAX);
            stream.write_all(&key.to_le_bytes()).await.unwrap();
            let (to_server, from_server) = cipher::keys(key);
            sealed = Some((to_server, from_server, Vec::new()));
        }
        Self {
            stream,
            sealed,
            read: Vec::new(),
        }
    }

    /// In pieces, with pauses.
    async fn send(&mut self, bytes: &[u8], random: &mut SeededRandom) {
        let sealed = match &mut self.sealed {
            None => bytes.to_vec(),
            Some((to_server, ..)) => to_server.seal(bytes),
        };
        let mut rest = &sealed[..];
        while !rest.is_empty() {
            let length = match random.below(3) {
                0 => 1 + random.below(10) as usize,
                _ => 1 + random.size(70_000) as usize,
            };
            let (part, after) = rest.split_at(length.min(rest.len()));
            self.stream.write_all(part).await.unwrap();
            rest = after;
            if random.once_in(3) {
                sleep(Duration::from_micros(random.below(4000))).await;
            }
        }
    }

    async fn more(&mut self) -> Result<(), String> {
        let mut bytes = [0; 4096];
        let read = timeout(PATIENCE, self.stream.read(&mut bytes)).await;
        let length = read
            .map_err(|_| "hung")?
            .map_err(|error| error.to_string())?;
        if length == 0 {
            return Err("it ended".to_owned());
        }
        match &mut self.sealed {
            None => self.read.extend(&bytes[..length]),
            Some((_, from_server, records)) => {
                records.extend(&bytes[..length]);
                let opened = from_server
                    .open(records)
                    .map_err(|error| error.to_string())?;
                self.read.extend(opened);
            }
        }
        Ok(())
    }

    async fn head(&mut self) -> Result<(), String> {
        loop {
            let end = self.read.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<_> = self.read.drain(..end + 4).collect();
                return match head.starts_with(b"HTTP/1.1 101 ") {
                    true => Ok(()),
                    false => Err(String::from_utf8_lossy(&head).into_owned()),
                };
            }
            self.more().await?;
        }
    }

    /// The next one that is no pong: its opcode, and what it says. All of the server's are short.
    async fn answer(&mut self) -> Result<(u8, Vec<u8>), String> {
        loop {
            if let [first, length, ..] = self.read[..]
                && self.read.len() >= 2 + usize::from(length)
            {
                let bytes: Vec<_> = self.read.drain(..2 + usize::from(length)).collect();
                if first == 0x8a {
                    assert_eq!(&bytes[2..], b"ping");
                    continue;
                }
                return Ok((first, bytes[2..].to_vec()));
            }
            self.more().await?;
        }
    }
}

const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn case(
    address: SocketAddr,
    through: Through,
    mut random: SeededRandom,
) -> Result<(), String> {
    let mut client = Client::connect(address, through, &mut random).await;
    client.send(HANDSHAKE.as_bytes(), &mut random).await;
    // Or messages come right behind the handshake.
    let mut waited = random.once_in(2);
    if waited {
        client.head().await?;
    }
    let mut expected = VecDeque::new();
    for count in 0..MESSAGES {
        let most = if random.once_in(10) { 100_000 } else { 300 };
        let payload = (0..random.below(most)).map(|at| (at * 7 + count) as u8);
        let payload: Vec<_> = payload.collect();
        let bytes = message(&payload, &mut random);
        client.send(&bytes, &mut random).await;
        expected.push_back(answer(count, &payload));
        let ahead = if count + 1 == MESSAGES {
            0
        } else {
            random.below(4)
        };
        while expected.len() as u64 > ahead {
            if !std::mem::replace(&mut waited, true) {
                client.head().await?;
            }
            let (first, got) = client.answer().await?;
            let wanted = expected.pop_front().unwrap();
            if first != 0x81 || got != wanted.as_bytes() {
                let got = String::from_utf8_lossy(&got).into_owned();
                return Err(format!("{got} ({first:x}) and not {wanted}"));
            }
        }
    }
    client
        .send(
            &frame(0x88, &1000_u16.to_be_bytes(), [1, 2, 3, 4]),
            &mut random,
        )
        .await;
    match client.answer().await? {
        (0x88, _) => Ok(()),
        (first, _) => Err(format!("{first:x} and no goodbye")),
    }
}

async fn run(through: Through, cases: u64) {
    // Each is a connection with some messages.
    let cases = number("PORTKEEP_MOVE_CASES", cases * MESSAGES).div_ceil(MESSAGES);
    let seed = number("PORTKEEP_MOVE_SEED", 1);
    let totals = Arc::new(Totals::default());
    let generations = Generations::of(app(&totals), through, seed);
    let address = generations.address();
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..AT_ONCE {
        let next = Arc::clone(&next);
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= cases {
                    return;
                }
                if let Err(error) = case(address, through, SeededRandom::new(seed, number)).await {
                    panic!("seed {seed}, {through:?} case {number}: {error}");
                }
            }
        });
    }
    while let Some(result) = clients.join_next().await {
        result.unwrap();
    }
    let Outcome {
        handovers, failed, ..
    } = generations.stop().await;
    assert_eq!(failed, 0, "a session has failed");
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "measured: {through:?}: {cases} WebSockets, {} messages, {} handed over ({} in the middle of a message), {} refused, in {handovers} handovers",
        cases * MESSAGES,
        read(&totals.handed_over),
        read(&totals.midway),
        read(&totals.refused),
    );
    assert!(
        read(&totals.handed_over) > cases,
        "too little was moved to prove anything"
    );
    assert!(read(&totals.refused) > cases / 10, "too little was refused");
    assert!(read(&totals.midway) > 0, "none in the middle of a message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_is_lost_doubled_or_out_of_order() {
    run(Through::Nothing, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_transport() {
    run(Through::Cipher, 20).await;
}
