//! An accepted connection.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{Domain, SockRef, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::Secret;

/// A connection, as it was accepted or as the app has wrapped it.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Its bytes are not those of its socket, so it cannot leave this process.
    Wrapped(Box<dyn Duplex>),
    /// The state of what wraps it can leave as well.
    Movable(Box<dyn TakeApart>),
}

/// Something that can be read and written.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection behind a transport that can export its state.
pub(crate) trait TakeApart: Duplex {
    /// Its parts, or the connection as it was if this is the wrong moment.
    fn take_apart(self: Box<Self>) -> Result<TakenApart, StaysWhole>;
}

/// Parts of a connection that this process no longer reads or writes.
pub(crate) struct TakenApart {
    pub(crate) socket: OwnedFd,
    /// State of the transport.
    pub(crate) transport: Option<Secret>,
    /// Bytes that the transport had read.
    pub(crate) unread: Vec<u8>,
}

/// Why a stream was not taken apart.
pub(crate) enum StaysWhole {
    /// It may be possible later.
    ForNow(Stream),
    /// The runtime has lost its socket, or it never can.
    ForEver,
}

impl Stream {
    /// A connection that another process has accepted.
    pub(crate) fn adopt(socket: OwnedFd) -> io::Result<Self> {
        let seen = SockRef::from(&socket);
        let is_stream = seen.r#type()? == Type::STREAM && !seen.is_listener()?;
        let domain = seen.domain()?;
        seen.set_nonblocking(true)?;
        match domain {
            _ if !is_stream => Err(io::Error::other("it is no connected stream")),
            Domain::IPV4 | Domain::IPV6 => TcpStream::from_std(socket.into()).map(Self::Tcp),
            Domain::UNIX => UnixStream::from_std(socket.into()).map(Self::Unix),
            other => Err(io::Error::other(format!("{other:?} is not served"))),
        }
    }

    /// Number of written bytes that the other side has not received, if known.
    pub(crate) fn unsent(&self) -> Option<u32> {
        match self {
            Self::Tcp(stream) => super::unsent::unsent(stream),
            Self::Unix(stream) => super::unsent::unsent(stream),
            Self::Wrapped(_) | Self::Movable(_) => None,
        }
    }

    /// Whether it can ever be [taken apart](Self::take_apart).
    pub(crate) fn can_leave(&self) -> bool {
        !matches!(self, Self::Wrapped(_))
    }

    /// Takes it from the runtime and the transport.
    pub(crate) fn take_apart(self) -> Result<TakenApart, StaysWhole> {
        match self {
            Self::Movable(stream) => stream.take_apart(),
            bare => Ok(TakenApart {
                socket: bare.into_socket()?,
                transport: None,
                unread: Vec::new(),
            }),
        }
    }

    /// The socket of a bare connection.
    pub(crate) fn into_socket(self) -> Result<OwnedFd, StaysWhole> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(OwnedFd::from),
            Self::Unix(stream) => stream.into_std().map(OwnedFd::from),
            Self::Wrapped(_) | Self::Movable(_) => return Err(StaysWhole::ForEver),
        }
        .map_err(|_| StaysWhole::ForEver)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(stream) => stream.fmt(f),
            Self::Unix(stream) => stream.fmt(f),
            Self::Wrapped(_) => f.write_str("Wrapped"),
            Self::Movable(_) => f.write_str("Movable"),
        }
    }
}

/// Calls a method of whichever it is.
macro_rules! forward {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
            Stream::Wrapped($stream) => $call,
            Stream::Movable($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Wrapped(stream) => stream.is_write_vectored(),
            Self::Movable(stream) => stream.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
