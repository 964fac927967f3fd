//! Socket as hyper sees it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Arrival;
use super::probe::Probe;
use crate::Secret;
use crate::acceptor::Acceptor;
use crate::drain::{Live, Shared};
use crate::listen::Stream;

/// A socket that first returns bytes that were read too early, informs its [`Probe`], and counts as open until it is
/// dropped, wherever it goes.
#[derive(Debug)]
pub(super) struct Io {
    stream: Stream,
    /// Bytes to read before those of the socket.
    unread: Vec<u8>,
    identity: Identity,
}

/// What remains of a connection in this process while its socket is elsewhere.
#[derive(Debug)]
pub(super) struct Identity {
    probe: Arc<Probe>,
    live: Live,
    acceptor: Option<Acceptor>,
}

impl Identity {
    pub(super) fn probe(&self) -> Arc<Probe> {
        Arc::clone(&self.probe)
    }

    /// Its acceptor, before or after it has passed.
    pub(super) fn acceptor(&self) -> Option<Acceptor> {
        self.acceptor.clone()
    }

    /// Reassembles it after it was taken apart.
    pub(super) fn put_together(&self, stream: Stream, state: Secret) -> io::Result<Stream> {
        let acceptor = self.acceptor.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        // Its requests have these extensions already.
        let (stream, _) = acceptor.reassemble(stream, state)?;
        Ok(stream)
    }

    /// How long it has been in its present state.
    pub(super) fn waited(&self) -> Duration {
        self.live.waited()
    }
}

impl Io {
    pub(super) fn new(arrival: Arrival, shared: &Arc<Shared>) -> Self {
        let probe = Arc::new(Probe::new(Arc::clone(shared), &arrival));
        let live = Live::new(shared);
        live.watch(Arc::clone(&probe) as _, arrival.waited);
        let identity = Identity {
            probe,
            live,
            acceptor: arrival.acceptor,
        };
        Self::assemble(arrival.stream, arrival.unread, identity)
    }

    pub(super) fn assemble(stream: Stream, unread: Vec<u8>, identity: Identity) -> Self {
        Self {
            stream,
            unread,
            identity,
        }
    }

    pub(super) fn dismantle(self) -> (Stream, Vec<u8>, Identity) {
        (self.stream, self.unread, self.identity)
    }

    pub(super) fn probe(&self) -> Arc<Probe> {
        self.identity.probe()
    }

    #[inline]
    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.identity.probe.sent(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.identity.probe.blocked(|| self.stream.unsent()),
        }
    }

    /// Whether another process can ever have it.
    pub(super) fn can_leave(&self) -> bool {
        self.stream.can_leave()
    }

    /// The next read gives these bytes.
    pub(super) fn give_back(&mut self, bytes: &[u8]) {
        self.unread.splice(0..0, bytes.iter().copied());
    }
}

impl AsyncRead for Io {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let room = buf.remaining();
        if this.unread.is_empty() {
            let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
            std::task::ready!(polled)?;
        } else {
            let count = room.min(this.unread.len());
            buf.put_slice(&this.unread[..count]);
            this.unread.drain(..count);
        }
        // A read into no room says nothing.
        if room > 0 {
            this.identity.probe.read(buf.filled().len() - before);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.identity.probe.wrote();
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(&polled);
        polled
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.identity.probe.wrote();
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if let Poll::Ready(Ok(())) = polled {
            self.identity.probe.flushed();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
