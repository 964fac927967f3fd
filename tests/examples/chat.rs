//! A client of the chat: says something and hears it, on the one connection that it makes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::running::SOON;

pub(crate) struct Talking(BufReader<TcpStream>);

impl Talking {
    pub(crate) fn join(address: SocketAddr, name: &str) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let head = format!(
            "GET /ws?{name} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut socket = BufReader::new(socket);
        let mut line = String::new();
        socket.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 101 "), "{line}");
        while line != "\r\n" {
            line.clear();
            assert!(socket.read_line(&mut line).unwrap() > 0, "it ends");
        }
        Self(socket)
    }

    /// Shorter than what needs a longer head; with a mask of zeros.
    pub(crate) fn say(&mut self, line: &str) {
        let length = u8::try_from(line.len()).unwrap();
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], line.as_bytes()].concat();
        self.0.get_mut().write_all(&frame).unwrap();
    }

    /// The next line of somebody; nothing else may come.
    pub(crate) fn hear(&mut self) -> String {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x81, "it is closed, and not handed over");
        let mut line = vec![0; head[1].into()];
        self.0.read_exact(&mut line).unwrap();
        String::from_utf8(line).unwrap()
    }
}
