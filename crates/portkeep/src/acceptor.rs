//! What an app puts between the socket and HTTP, such as TLS.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listen::Stream;

/// A connection that was accepted and has not been read from, for
/// [`Server::accept_with`](crate::Server::accept_with).
///
/// Dropping it closes the connection.
#[derive(Debug)]
pub struct Accepted(Stream);

type Wrapping = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

/// The app's function. Shared by all connections.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<dyn Fn(Accepted) -> Wrapping + Send + Sync>);

impl Acceptor {
    pub(crate) fn new<F, S>(accept: impl Fn(Accepted) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self(Arc::new(move |accepted| {
            let accepting = accept(accepted);
            Box::pin(async { Ok(Stream::Wrapped(Box::new(accepting.await?))) })
        }))
    }

    pub(crate) async fn wrap(&self, stream: Stream) -> io::Result<Stream> {
        (self.0)(Accepted(stream)).await
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
