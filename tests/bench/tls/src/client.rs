//! A connection that asks, and hides nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    answer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(config));
        Ok(Self {
            stream: connector.connect(name, socket).await?,
            answer: Vec::new(),
        })
    }

    /// Asks once, and returns whether the connection goes on.
    ///
    /// # Errors
    ///
    /// If there is no answer, or another than is right.
    pub(crate) async fn ask(&mut self) -> io::Result<bool> {
        self.stream.write_all(REQUEST).await?;
        self.answer.clear();
        while !self.answer.ends_with(b"\r\n\r\nhello") {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if !self.answer.starts_with(b"HTTP/1.1 200 OK\r\n") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let ends = b"connection: close";
        Ok(!self.answer.windows(ends.len()).any(|part| part == ends))
    }
}
