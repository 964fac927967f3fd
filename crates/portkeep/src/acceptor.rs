//! Acceptor: the app's layer between the socket and HTTP, such as TLS.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Extensions;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::accepted::{Accepted, hand_on};
use crate::listen::{StaysWhole, Stream, TakeApart, TakenApart};
use crate::{Secret, Transport};

/// A connection that has passed, and extensions for its requests.
type Passed = (Stream, Extensions);
type PassingFuture = Pin<Box<dyn Future<Output = io::Result<Passed>> + Send>>;

/// The layer that connections pass. All of them share it.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<dyn ErasedAcceptor>);

trait ErasedAcceptor: Send + Sync {
    fn enter(&self, accepted: Accepted) -> PassingFuture;
    /// For a connection that has passed it before, here or in another process.
    fn enter_again(&self, accepted: Accepted, state: Secret) -> io::Result<Passed>;
    fn can_be_left(&self) -> bool;
}

/// The app's function.
struct Function<A>(A);

/// Shared with each stream.
struct Movable<T>(Arc<T>);

impl Acceptor {
    /// The connections that it returns stay in this process.
    pub(crate) fn new<F, S>(accept: impl Fn(Accepted) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self(Arc::new(Function(accept)))
    }

    pub(crate) fn movable(transport: impl Transport) -> Self {
        Self(Arc::new(Movable(Arc::new(transport))))
    }

    /// Whether its connections can go to another process.
    pub(crate) fn moves(&self) -> bool {
        self.0.can_be_left()
    }

    pub(crate) async fn wrap(&self, stream: Stream) -> io::Result<Passed> {
        self.0.enter(Accepted(stream)).await
    }

    pub(crate) fn reassemble(&self, stream: Stream, state: Secret) -> io::Result<Passed> {
        self.0.enter_again(Accepted(stream), state)
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

impl<A, F, S> ErasedAcceptor for Function<A>
where
    A: Fn(Accepted) -> F + Send + Sync,
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn enter(&self, accepted: Accepted) -> PassingFuture {
        let accepting = (self.0)(accepted);
        Box::pin(async {
            Ok((
                Stream::Wrapped(Box::new(accepting.await?)),
                Extensions::new(),
            ))
        })
    }

    fn enter_again(&self, _: Accepted, _: Secret) -> io::Result<Passed> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn can_be_left(&self) -> bool {
        false
    }
}

impl<T: Transport> Movable<T> {
    fn behind(transport: Arc<T>, stream: T::Stream) -> Passed {
        let known = transport.introduce(&stream);
        let stream = TransportStream { stream, transport };
        (Stream::Movable(Box::new(stream)), known)
    }
}

impl<T: Transport> ErasedAcceptor for Movable<T> {
    fn enter(&self, accepted: Accepted) -> PassingFuture {
        let transport = Arc::clone(&self.0);
        Box::pin(async move {
            let stream = transport.accept(accepted).await?;
            Ok(Self::behind(transport, stream))
        })
    }

    fn enter_again(&self, accepted: Accepted, state: Secret) -> io::Result<Passed> {
        let stream = self.0.reassemble(accepted, state)?;
        Ok(Self::behind(Arc::clone(&self.0), stream))
    }

    fn can_be_left(&self) -> bool {
        true
    }
}

/// A stream behind a transport, which can take it apart.
struct TransportStream<T: Transport> {
    stream: T::Stream,
    transport: Arc<T>,
}

impl<T: Transport> TakeApart for TransportStream<T> {
    fn take_apart(self: Box<Self>) -> Result<TakenApart, StaysWhole> {
        let Self { stream, transport } = *self;
        let parts = transport.take_apart(stream).map_err(|stream| {
            let as_it_was = Box::new(Self { stream, transport });
            StaysWhole::ForNow(Stream::Movable(as_it_was))
        })?;
        Ok(TakenApart {
            socket: parts.connection.0.into_socket()?,
            transport: Some(parts.state),
            unread: parts.unread,
        })
    }
}

impl<T: Transport> AsyncRead for TransportStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: Transport> AsyncWrite for TransportStream<T> {
    hand_on!(this => this.stream);
}
