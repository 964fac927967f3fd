//! One connection, and why a request on it failed.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{Protocol, TIMEOUT, Tls};

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    Refused,
    Reset,
    /// The connection ended before the answer.
    Cut,
    TimedOut,
    /// An answer with another status than 200.
    Status(u16),
    Other,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Reset => f.write_str("reset"),
            Self::Cut => f.write_str("cut"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Other => f.write_str("other"),
        }
    }
}

/// What became of a request.
pub(crate) struct Sent {
    /// The version that answered, or why nobody did.
    pub(crate) outcome: Result<String, Failure>,
}

impl Sent {
    pub(crate) fn failed(failure: Failure) -> Self {
        Self {
            outcome: Err(failure),
        }
    }
}

enum Sender {
    One(http1::SendRequest<Empty<Bytes>>),
    Two(http2::SendRequest<Empty<Bytes>>),
}

/// A connection that is opened when it is needed, again if the server has closed it.
pub(crate) struct Connection {
    address: SocketAddr,
    protocol: Protocol,
    tls: Option<Tls>,
    sender: Option<Sender>,
    closed: u64,
}

impl Connection {
    pub(crate) fn new(address: SocketAddr, protocol: Protocol, tls: Option<Tls>) -> Self {
        Self {
            address,
            protocol,
            tls,
            sender: None,
            closed: 0,
        }
    }

    /// How many connections the server ended, which the client would have gone on to use.
    pub(crate) fn closed(&self) -> u64 {
        self.closed
    }

    pub(crate) fn drop_it(&mut self) {
        self.sender = None;
    }

    /// One request. It is sent once, on a connection that was not known to be closed.
    pub(crate) async fn request(&mut self, path: &str) -> Sent {
        let outcome = self.exchange(path).await;
        if self.protocol == Protocol::Close {
            self.sender = None;
        } else if outcome.is_err() && self.sender.take().is_some() {
            self.closed += 1;
        }
        Sent { outcome }
    }

    async fn exchange(&mut self, path: &str) -> Result<String, Failure> {
        if self.sender.is_some() {
            match self.send(path).await? {
                Some(response) => return answer(response).await,
                // The server had ended the connection, and the request never left. That is no failure, and no retry.
                None => {
                    self.closed += 1;
                    self.sender = None;
                }
            }
        }
        self.sender = Some(self.connect().await?);
        match self.send(path).await? {
            Some(response) => answer(response).await,
            None => Err(Failure::Cut),
        }
    }

    /// Nothing, if the connection had ended before the request could be sent.
    async fn send(&mut self, path: &str) -> Result<Option<Response<Incoming>>, Failure> {
        let request = self.asks(path)?;
        let sent = match &mut self.sender {
            Some(Sender::One(sender)) => match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                Err(_) => return Ok(None),
            },
            Some(Sender::Two(sender)) => match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                Err(_) => return Ok(None),
            },
            None => return Ok(None),
        };
        match sent {
            Ok(response) => Ok(Some(response)),
            Err(mut error) => match error.take_message() {
                Some(_unsent) => Ok(None),
                None => Err(kind(error.error())),
            },
        }
    }

    async fn connect(&self) -> Result<Sender, Failure> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| io_kind(&error))?;
        stream.set_nodelay(true).map_err(|error| io_kind(&error))?;
        if let Some(tls) = &self.tls {
            let stream = tls.connect(stream).await.map_err(|error| io_kind(&error))?;
            return one(stream).await;
        }
        if self.protocol == Protocol::Http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .map_err(|error| kind(&error))?;
            tokio::spawn(connection);
            Ok(Sender::Two(sender))
        } else {
            one(stream).await
        }
    }

    fn asks(&self, path: &str) -> Result<Request<Empty<Bytes>>, Failure> {
        let request = if self.protocol == Protocol::Http2 {
            let uri = format!("http://{}{path}", self.address);
            Request::get(uri).version(Version::HTTP_2)
        } else {
            Request::get(path).header(HOST, self.address.to_string())
        };
        let request = if self.protocol == Protocol::Close {
            request.header(CONNECTION, "close")
        } else {
            request
        };
        request.body(Empty::new()).map_err(|_| Failure::Other)
    }
}

/// An HTTP/1 connection over this.
async fn one<S>(stream: S) -> Result<Sender, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| kind(&error))?;
    tokio::spawn(connection);
    Ok(Sender::One(sender))
}

async fn answer(response: Response<Incoming>) -> Result<String, Failure> {
    let status = response.status();
    let version = response.headers().get("x-version").cloned();
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| kind(&error))?.to_bytes();
    if status.is_success() {
        let version = version.and_then(|value| value.to_str().map(str::to_owned).ok());
        // The smallest app answers with nothing but its version.
        Ok(version.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned()))
    } else {
        Err(Failure::Status(status.as_u16()))
    }
}

fn kind(error: &hyper::Error) -> Failure {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return io_kind(io);
        }
        source = cause.source();
    }
    // All that is left when the server is a correct one: it closed, or told GOAWAY, before the answer.
    if error.is_parse() {
        Failure::Other
    } else {
        Failure::Cut
    }
}

fn io_kind(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset => Failure::Reset,
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Failure::Cut,
        io::ErrorKind::TimedOut => Failure::TimedOut,
        _ => Failure::Other,
    }
}

/// One request on a connection of its own.
pub(crate) async fn fetch(address: SocketAddr, path: &str) -> Result<String, Failure> {
    fetch_over(address, path, None).await
}

/// The same, perhaps over TLS.
pub(crate) async fn fetch_over(
    address: SocketAddr,
    path: &str,
    tls: Option<Tls>,
) -> Result<String, Failure> {
    let mut connection = Connection::new(address, Protocol::Close, tls);
    match tokio::time::timeout(TIMEOUT, connection.request(path)).await {
        Ok(sent) => sent.outcome,
        Err(_) => Err(Failure::TimedOut),
    }
}
