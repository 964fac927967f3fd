//! A TLS client that hides nothing and can be difficult: records in pieces, new keys.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection};

use crate::manager::PATIENCE;
use crate::seeded_random::SeededRandom;

pub(crate) struct Client {
    pub(crate) session: ClientConnection,
    pub(crate) socket: TcpStream,
    received: Vec<u8>,
    /// Set if it sends in pieces.
    random: Option<SeededRandom>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(2 * PATIENCE)).unwrap();
        Self::over(socket, config)
    }

    pub(crate) fn over(socket: TcpStream, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        Self {
            session: ClientConnection::new(Arc::clone(config), name).unwrap(),
            socket,
            received: Vec::new(),
            random: None,
        }
    }

    pub(crate) fn difficult(mut self, random: SeededRandom) -> Self {
        self.random = Some(random);
        self
    }

    /// Bytes to send, as records.
    pub(crate) fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut records).unwrap();
        }
        records
    }

    fn flush(&mut self) -> io::Result<()> {
        let records = self.records();
        let Some(random) = &mut self.random else {
            return self.socket.write_all(&records);
        };
        let mut rest = &records[..];
        while !rest.is_empty() {
            let length = match random.below(4) {
                0 => 1,
                1 => 1 + random.below(40) as usize,
                _ => 1 + random.size(70_000) as usize,
            };
            let (part, after) = rest.split_at(length.min(rest.len()));
            self.socket.write_all(part)?;
            rest = after;
            if !rest.is_empty() && random.once_in(2) {
                thread::sleep(Duration::from_micros(random.below(8000)));
            }
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        // The session takes a limited number of bytes at a time.
        while !rest.is_empty() {
            let count = self.session.writer().write(rest)?;
            rest = &rest[count..];
            self.flush()?;
        }
        Ok(())
    }

    /// Requests a new key from the server, and receives one.
    pub(crate) fn renew_keys(&mut self) -> io::Result<()> {
        self.session
            .refresh_traffic_keys()
            .map_err(io::Error::other)?;
        self.flush()
    }

    /// More decrypted bytes; none after an end in good order.
    fn read(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 * 1024];
        loop {
            // Handshake messages, and answers to key updates.
            self.flush()?;
            match self.session.reader().read(&mut bytes) {
                Ok(count) => {
                    self.received.extend(&bytes[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.session.read_tls(&mut self.socket)?;
            self.session
                .process_new_packets()
                .map_err(io::Error::other)?;
        }
    }

    /// The head and the body of the next answer.
    pub(crate) fn answer(&mut self) -> io::Result<(String, Vec<u8>)> {
        loop {
            let end = self
                .received
                .windows(4)
                .position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&self.received[..end]).to_ascii_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse::<usize>().unwrap());
                if self.received.len() >= end + 4 + length {
                    let body = self.received[end + 4..][..length].to_vec();
                    self.received.drain(..end + 4 + length);
                    return Ok((head, body));
                }
            }
            if self.read()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<(String, String)> {
        self.send(get(path).as_bytes())?;
        let (head, body) = self.answer()?;
        Ok((head, String::from_utf8(body).map_err(io::Error::other)?))
    }

    /// The process that answered. It must not announce an end.
    #[track_caller]
    pub(crate) fn who(&mut self) -> u32 {
        let (head, body) = self.get("/").unwrap();
        assert!(!head.contains("connection: close"), "it ends: {head}");
        body.parse().unwrap()
    }

    /// In good order: rustls takes an end without `close_notify` for an error.
    #[track_caller]
    pub(crate) fn ended(&mut self) {
        assert_eq!(self.read().unwrap(), 0);
    }
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}
