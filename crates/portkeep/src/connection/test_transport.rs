//! A transport whose moments a test decides.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use super::Arrival;
use super::io::Io;
use crate::acceptor::Acceptor;
use crate::drain::Shared;
use crate::listen::Stream;
use crate::{Accepted, Parts, Secret, Transport};

/// Its state.
pub(super) const KEYS: &[u8] = b"keys";

/// What its next flush does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Flush {
    #[default]
    Ends,
    /// Its client takes nothing.
    Waits,
    Fails,
}

/// The moments of a connection, in whichever process it is.
#[derive(Debug, Default)]
pub(super) struct Moments {
    /// Before so many bytes are read, a record is incomplete.
    pub(super) whole_after: AtomicUsize,
    read: AtomicUsize,
    pub(super) flush: Mutex<Flush>,
    /// How often something was written.
    pub(super) writes: AtomicUsize,
    /// How often it was put together from its state.
    pub(super) reassembled: AtomicUsize,
}

struct TestTransport(Arc<Moments>);

#[derive(Debug)]
struct TestStream {
    connection: Accepted,
    moments: Arc<Moments>,
}

/// A connection behind it, and its moments.
pub(super) async fn behind(server: UnixStream, shared: &Arc<Shared>) -> (Io, Arc<Moments>) {
    let moments = Arc::new(Moments::default());
    let acceptor = Acceptor::movable(TestTransport(Arc::clone(&moments)));
    let (stream, _) = acceptor.wrap(Stream::Unix(server)).await.unwrap();
    let arrival = Arrival {
        acceptor: Some(acceptor),
        ..Arrival::rehearsed(stream)
    };
    (Io::new(arrival, shared), moments)
}

impl TestTransport {
    fn stream(&self, connection: Accepted) -> TestStream {
        TestStream {
            connection,
            moments: Arc::clone(&self.0),
        }
    }
}

impl Transport for TestTransport {
    type Stream = TestStream;

    async fn accept(&self, connection: Accepted) -> io::Result<TestStream> {
        Ok(self.stream(connection))
    }

    fn take_apart(&self, stream: TestStream) -> Result<Parts, TestStream> {
        if stream.moments.read.load(SeqCst) < stream.moments.whole_after.load(SeqCst) {
            return Err(stream);
        }
        Ok(Parts {
            connection: stream.connection,
            state: Secret::from(KEYS.to_vec()),
            unread: Vec::new(),
        })
    }

    fn reassemble(&self, connection: Accepted, state: Secret) -> io::Result<TestStream> {
        if state.expose() != KEYS {
            return Err(io::Error::other("another state"));
        }
        self.0.reassembled.fetch_add(1, SeqCst);
        Ok(self.stream(connection))
    }
}

impl AsyncRead for TestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(cx, buf))?;
        let count = buf.filled().len() - before;
        self.moments.read.fetch_add(count, SeqCst);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TestStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.moments.writes.fetch_add(1, SeqCst);
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self.moments.flush.lock().unwrap() {
            Flush::Ends => Poll::Ready(Ok(())),
            Flush::Waits => Poll::Pending,
            Flush::Fails => Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
