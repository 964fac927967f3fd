//! Two clients: one that sends everything in order, and one that is as difficult as it can be.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::Through;
use super::case::{Case, Class, Request};
use super::cipher::{self, Counter};
use crate::seeded_random::SeededRandom;

/// Longer than any case takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back, each answer for itself.
pub(super) struct Answers {
    answers: Vec<Vec<u8>>,
}

/// What came back, as it came.
pub(super) struct ClientResult {
    bytes: Vec<u8>,
    error: Option<io::Error>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Whole,
    /// After some answers, as hyper does when it has not read all of a body.
    Early,
}

/// The answers to the requests of a case, each on a connection of its own: none can harm another.
pub(super) async fn plainly(address: SocketAddr, case: &Case) -> Answers {
    let mut answers = Vec::new();
    for request in &case.requests {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        // An answer may come before all is sent, and the connection end.
        let (_, answer) = tokio::join!(
            writing.write_all(&request.bytes),
            one_answer(&mut reading, request)
        );
        let answer = without_date(answer);
        assert!(answer.starts_with(b"HTTP/1.1 "), "{request:?}");
        answers.push(answer);
    }
    Answers { answers }
}

/// Reads up to the end of an answer, an interim one included.
async fn one_answer(reading: &mut (impl AsyncReadExt + Unpin), request: &Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut begin = 0;
    loop {
        if let Some(length) = complete(&bytes[begin..], request.is_head) {
            if bytes[begin..].starts_with(b"HTTP/1.1 100") {
                begin += length;
                continue;
            }
            return bytes;
        }
        let read = timeout(PATIENCE, reading.read_buf(&mut bytes)).await;
        let more = matches!(read, Ok(Ok(1..)));
        assert!(more, "{request:?}: {read:?} after {:?}", start(&bytes));
    }
}

/// The length of the answer, if all of it is there.
fn complete(bytes: &[u8], is_head: bool) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head])
        .unwrap()
        .to_ascii_lowercase();
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name).map(str::trim))
    };
    if is_head || text.starts_with("http/1.1 100") || text.starts_with("http/1.1 204") {
        return Some(head);
    }
    if value("transfer-encoding:").is_some() {
        let body = &bytes[head..];
        let end = match body.starts_with(b"0\r\n\r\n") {
            true => 5,
            false => {
                body.windows(7)
                    .position(|seven| seven == b"\r\n0\r\n\r\n")?
                    + 7
            }
        };
        return Some(head + end);
    }
    let length: usize = value("content-length:")?.parse().unwrap();
    (bytes.len() >= head + length).then_some(head + length)
}

/// The only part of an answer that may differ, and it has always the same length.
fn without_date(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut from = 0;
    while let Some(found) = bytes[from..]
        .windows(8)
        .position(|part| part == b"\r\ndate: ")
    {
        from += found + 8;
        let end = bytes.len().min(from + 29);
        bytes[from..end].fill(b'?');
    }
    bytes
}

/// All requests on one connection: in pieces, with pauses, ahead of the answers.
pub(super) async fn randomly(
    address: SocketAddr,
    through: Through,
    case: &Case,
    expected: &Answers,
    mut random: SeededRandom,
) -> ClientResult {
    let socket = TcpSocket::new_v4().unwrap();
    if case.small_buffers {
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_send_buffer_size(4096).unwrap();
    }
    let stream = socket.connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (reading, mut writing) = stream.into_split();
    let key = random.below(u64::MAX);
    let (mut to_server, from_server) = cipher::keys(key);
    let from_server = (through == Through::Cipher).then_some(from_server);
    if through == Through::Cipher {
        writing.write_all(&key.to_le_bytes()).await.unwrap();
    }
    let received = Arc::new((AtomicUsize::new(0), Notify::new()));
    let slow = case
        .slow_reader
        .then(|| SeededRandom::new(7, random.below(u64::MAX)));
    let reader = tokio::spawn(read_all(reading, from_server, Arc::clone(&received), slow));

    let mut answered = 0;
    let send = async {
        for (index, request) in case.requests.iter().enumerate() {
            if index >= case.ahead {
                answered += expected.answers[index - case.ahead].len();
                while received.0.load(Ordering::SeqCst) < answered {
                    received.1.notified().await;
                }
            }
            let sent = match through {
                Through::Nothing => request.bytes.clone(),
                Through::Cipher => {
                    let parts = request.bytes.chunks(1 + random.size(70_000) as usize);
                    parts.flat_map(|part| to_server.seal(part)).collect()
                }
            };
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let length = match random.below(4) {
                    0 => 1,
                    1 => 1 + random.below(40) as usize,
                    _ => 1 + random.size(70_000) as usize,
                };
                let (part, after) = rest.split_at(length.min(rest.len()));
                writing.write_all(part).await?;
                rest = after;
                if random.once_in(3) {
                    sleep(Duration::from_micros(random.below(2500))).await;
                }
            }
        }
        Ok::<_, io::Error>(())
    };
    // The end comes from the server. If it comes before all is sent, the reader knows.
    tokio::pin!(reader);
    let got = async {
        tokio::select! {
            sent = send => {
                let _ = sent;
                (&mut reader).await
            }
            got = &mut reader => got,
        }
    };
    // Not the time of all of it: a slow reader of long answers takes that on a busy machine.
    let stalled = async {
        let mut before = None;
        loop {
            let now = received.0.load(Ordering::SeqCst);
            if before.replace(now) == Some(now) {
                break;
            }
            sleep(PATIENCE).await;
        }
    };
    tokio::select! {
        got = got => got.unwrap(),
        () = stalled => ClientResult {
            bytes: Vec::new(),
            error: Some(io::Error::other(format!(
                "hung after {} bytes",
                received.0.load(Ordering::SeqCst)
            ))),
        },
    }
}

async fn read_all(
    mut reading: tokio::net::tcp::OwnedReadHalf,
    mut from_server: Option<Counter>,
    received: Arc<(AtomicUsize, Notify)>,
    mut slow: Option<SeededRandom>,
) -> ClientResult {
    let mut bytes = Vec::new();
    let mut records = Vec::new();
    let error = loop {
        let mut part = [0; 16 * 1024];
        let mut room = part.len();
        if let Some(random) = &mut slow {
            room = 1 + random.below(12_000) as usize;
            sleep(Duration::from_micros(random.below(300))).await;
        }
        match reading.read(&mut part[..room]).await {
            Ok(0) => break None,
            Ok(length) => match &mut from_server {
                None => bytes.extend(&part[..length]),
                Some(counter) => {
                    records.extend(&part[..length]);
                    match counter.open(&mut records) {
                        Ok(opened) => bytes.extend(opened),
                        Err(error) => break Some(error),
                    }
                }
            },
            Err(error) => break Some(error),
        }
        received.0.store(bytes.len(), Ordering::SeqCst);
        received.1.notify_one();
    };
    ClientResult {
        bytes: without_date(bytes),
        error,
    }
}

impl ClientResult {
    pub(super) fn compare(&self, expected: &Answers, class: Class) -> Result<Ending, String> {
        // Whether hyper says that it will close after an unread body is a matter of moments.
        let comparable = |bytes: &[u8]| match class {
            Class::Ignored => without(b"connection: close\r\n", bytes),
            _ => bytes.to_vec(),
        };
        let got = comparable(&self.bytes);
        let mut rest = &got[..];
        for (index, answer) in expected.answers.iter().enumerate() {
            let answer = comparable(answer);
            match rest.strip_prefix(&answer[..]) {
                Some(after) => rest = after,
                // Only between two answers.
                None if rest.is_empty() && class == Class::Ignored && index > 0 => {
                    return Ok(Ending::Early);
                }
                None => {
                    return Err(format!(
                        "answer {index} is {:?} and not {:?} ({:?})",
                        start(rest),
                        start(&answer),
                        self.error
                    ));
                }
            }
        }
        match (rest, &self.error) {
            ([], None) => Ok(Ending::Whole),
            ([], Some(_)) if class == Class::Ignored => Ok(Ending::Whole),
            _ => Err(format!("and then {:?} ({:?})", start(rest), self.error)),
        }
    }
}

fn without(line: &[u8], bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let line = String::from_utf8_lossy(line);
    text.replace(&*line, "").into_bytes()
}

fn start(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned()
}
