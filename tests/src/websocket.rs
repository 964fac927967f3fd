//! A WebSocket of a client that hides nothing: what comes is what its server has sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A WebSocket on the one connection that it makes.
#[derive(Debug)]
pub struct WebSocket(BufReader<TcpStream>);

/// What its server has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message.
    Text(String),
    /// A close frame with this code, and the reason.
    Closed(u16, String),
}

impl WebSocket {
    /// Asks for this path.
    #[must_use]
    pub fn connect(address: SocketAddr, path: &str) -> Self {
        let mut socket = TcpStream::connect(address).expect("it is accepted");
        socket.set_nodelay(true).expect("it is a TCP socket");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("it has a limit");
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket
            .write_all(head.as_bytes())
            .expect("the request is sent");
        let mut socket = BufReader::new(socket);
        let mut line = String::new();
        socket.read_line(&mut line).expect("an answer comes");
        assert!(line.starts_with("HTTP/1.1 101 "), "{line}");
        while line != "\r\n" {
            line.clear();
            assert!(
                socket.read_line(&mut line).expect("its head comes") > 0,
                "it ends"
            );
        }
        Self(socket)
    }

    /// Sends a message.
    pub fn say(&mut self, line: &str) {
        self.send(&frame(line));
    }

    /// Sends these bytes, which need not be whole frames.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("it is open");
    }

    /// What comes next.
    #[must_use]
    pub fn hear(&mut self) -> Heard {
        let mut head = [0; 2];
        self.read(&mut head);
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.read(&mut length);
                u16::from_be_bytes(length).into()
            }
            127.. => panic!("a masked or very long frame: {head:?}"),
            short => short.into(),
        };
        let mut payload = vec![0; length];
        self.read(&mut payload);
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        match (head[0], &payload[..]) {
            (0x81, message) => Heard::Text(text(message)),
            (0x88, [high, low, reason @ ..]) => {
                Heard::Closed(u16::from_be_bytes([*high, *low]), text(reason))
            }
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) {
        self.0
            .read_exact(bytes)
            .unwrap_or_else(|error| panic!("it is closed, and not handed over: {error}"));
    }
}

/// A message in one frame, with a mask of zeros.
#[must_use]
pub fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()).expect("it is short") {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}
