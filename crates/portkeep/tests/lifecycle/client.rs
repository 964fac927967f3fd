//! An HTTP/1.1 client that never retries and hides nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

pub(crate) struct Client {
    pub(crate) socket: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Connection: close` was announced.
    pub(crate) close: bool,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::from_socket(TcpStream::connect(address)?)
    }

    /// One that takes in little before it reads.
    pub(crate) fn connect_with_small_buffer(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(4096)?;
        socket.connect(&address.into())?;
        Self::from_socket(socket.into())
    }

    fn from_socket(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self {
            socket: BufReader::new(socket),
        })
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.socket.get_mut().write_all(bytes.as_ref())
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(get(path))?;
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let (status, close, length) = self.head()?;
        let body = match length {
            Some(length) => {
                let mut body = vec![0; length];
                self.socket.read_exact(&mut body)?;
                body
            }
            None => self.chunks()?,
        };
        Ok(Answer {
            status,
            close,
            body: String::from_utf8(body).map_err(io::Error::other)?,
        })
    }

    /// Status, whether `close` was announced, length if it is known.
    pub(crate) fn head(&mut self) -> io::Result<(u16, bool, Option<usize>)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {first:?}")))?;
        let (mut close, mut length) = (false, None);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("connection", "close")) => close = true,
                Some(("content-length", text)) => length = text.parse().ok(),
                Some(_) => {}
                None => return Ok((status, close, length)),
            }
        }
    }

    pub(crate) fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.line()?;
        let length = usize::from_str_radix(&line, 16).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.socket.read_exact(&mut bytes)?;
        self.line()?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.socket.read_line(&mut line)?;
        if !line.ends_with("\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.len() - 2);
        Ok(line)
    }

    /// The server has ended the connection in good order: end of file and no reset.
    pub(crate) fn ended(&mut self) -> io::Result<()> {
        let mut rest = Vec::new();
        self.socket.read_to_end(&mut rest)?;
        match rest.is_empty() {
            true => Ok(()),
            false => Err(io::Error::other(format!("{} more bytes", rest.len()))),
        }
    }
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}
