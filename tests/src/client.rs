//! One request by a client that never retries.
//!
//! HTTP libraries hide what is measured here: they open a new connection when an old one breaks, and
//! send again. This one speaks just enough HTTP/1.1 over a plain socket to see every refusal and reset.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete answer with status 200.
    Answer(Answer),
    /// A complete answer with another status.
    Status(u16),
    /// The port was closed.
    Refused,
    /// The connection was reset.
    Reset,
    /// No complete answer in time.
    Timeout,
    /// The connection ended before a complete answer.
    Cut,
    /// Anything else.
    Other(String),
}

/// A complete answer of the fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The header `x-version`, empty if there is none.
    pub version: String,
    /// The body.
    pub body: String,
}

impl Outcome {
    /// The answer, or a failed test.
    #[track_caller]
    #[must_use]
    pub fn expect_answer(self) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            other => panic!("no answer but {other:?}"),
        }
    }

    /// The version that answered.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Answer(answer) => Some(&answer.version),
            _ => None,
        }
    }
}

/// Connects, asks once for `path`, and reads the answer to its end.
#[must_use]
pub fn request(address: SocketAddr, path: &str, timeout: Duration) -> Outcome {
    outcome(exchange(address, path, "", Instant::now() + timeout))
}

/// A request that was sent.
#[derive(Debug)]
#[must_use]
pub struct Asked {
    sent: io::Result<TcpStream>,
    deadline: Instant,
}

/// Connects and asks for `path`, and leaves the answer for later. Whoever is answered after this was asked knows that the
/// process has it: connections are accepted in the order in which they came.
pub fn ask(address: SocketAddr, path: &str, timeout: Duration) -> Asked {
    let deadline = Instant::now() + timeout;
    let sent = send(address, path, "", deadline);
    Asked { sent, deadline }
}

impl Asked {
    /// Reads the answer to its end.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        outcome(self.sent.and_then(|stream| receive(stream, self.deadline)))
    }
}

/// The whole answer, head and body, to one request with more headers (`Accept: text/html\r\n`).
///
/// # Errors
/// The connection was refused or broke.
pub fn whole_answer(address: SocketAddr, headers: &str, timeout: Duration) -> io::Result<String> {
    let bytes = exchange(address, "/", headers, Instant::now() + timeout)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn outcome(exchanged: io::Result<Vec<u8>>) -> Outcome {
    match exchanged {
        Ok(bytes) => parse(&bytes),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => Outcome::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Outcome::Reset,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Outcome::Timeout,
            _ => Outcome::Other(error.to_string()),
        },
    }
}

fn exchange(
    address: SocketAddr,
    path: &str,
    headers: &str,
    deadline: Instant,
) -> io::Result<Vec<u8>> {
    let stream = send(address, path, headers, deadline)?;
    receive(stream, deadline)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::Error::from(ErrorKind::TimedOut)),
        false => Ok(left),
    }
}

fn send(
    address: SocketAddr,
    path: &str,
    headers: &str,
    deadline: Instant,
) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n")
            .as_bytes(),
    )?;
    Ok(stream)
}

fn receive(mut stream: TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut chunk)? {
            0 => return Ok(bytes),
            length => bytes.extend_from_slice(&chunk[..length]),
        }
    }
}

fn parse(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Outcome::Cut;
    };
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    let mut version = String::new();
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "x-version" => value.trim().clone_into(&mut version),
            "content-length" => length = value.trim().parse().ok(),
            _ => {}
        }
    }
    match status {
        _ if length.is_some_and(|length: usize| length != body.len()) => Outcome::Cut,
        Some(200) => Outcome::Answer(Answer {
            version,
            body: body.to_owned(),
        }),
        Some(code) => Outcome::Status(code),
        None => Outcome::Other(format!("not HTTP: {head}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_body_is_a_cut_answer() {
        let head = "HTTP/1.1 200 OK\r\nX-Version: v7\r\nContent-Length: 2\r\n\r\n";
        let whole = parse(format!("{head}ok").as_bytes());
        assert_eq!(whole.version(), Some("v7"));
        assert_eq!(parse(format!("{head}o").as_bytes()), Outcome::Cut);
        assert_eq!(parse(b"HTTP/1.1 200"), Outcome::Cut);
        assert_eq!(parse(b""), Outcome::Cut);
        assert_eq!(parse(b"HTTP/1.1 503 x\r\n\r\n"), Outcome::Status(503));
    }

    #[test]
    fn a_closed_port_is_refused_and_a_silent_one_times_out() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let short = Duration::from_millis(50);
        assert_eq!(request(address, "/", short), Outcome::Timeout);
        drop(listener);
        assert_eq!(request(address, "/", short), Outcome::Refused);
    }
}
