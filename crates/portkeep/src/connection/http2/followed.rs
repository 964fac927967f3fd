//! Socket of an HTTP/2 connection. It reports all bytes to the follower, and can be taken away while h2 owns it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::follower::{BrokenPromise, Follower};
use super::frames::{GOAWAY, SETTINGS, put};
use super::prologue::{Prologue, Unexpected};
use super::settings::{HEADER_TABLE_SIZE, Settings};
use super::sieve::Sieve;
use super::state::State;
use crate::connection::io::Io;
use crate::connection::probe::Probe;

/// The side that h2 has.
pub(super) enum Socket {
    /// It stays as long as it is open.
    Plain(Io),
    Followed(Followed),
}

/// The other side. There is no way to take a socket out of hyper's HTTP/2 connection: this takes it from outside, and the
/// connection is dropped.
#[derive(Clone)]
pub(super) struct Followed(Arc<Mutex<Inner>>);

struct Inner {
    /// None after it was taken. h2 then waits for ever, and is dropped.
    io: Option<Io>,
    follower: Follower,
    /// The prologue, until h2 knows its position.
    prologue: Option<Prologue>,
    /// Our own bytes for the client, not h2's.
    out: Vec<u8>,
    /// Whether it is to move as soon as it can.
    leaves: bool,
    /// Whether our own bytes were written last, which h2 does not flush.
    flushes: bool,
    /// Set while the client has settings of ours to acknowledge.
    sieve: Option<Sieve>,
    /// Bytes that passed it, and that h2 has not read.
    passed: Vec<u8>,
    /// The client was told that its next requests are not handled, for this reason.
    refused: Option<Refused>,
    /// The task that reads, while it waits for its turn.
    reader: Option<Waker>,
}

/// Why a connection that has moved does not go on.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Unexpected(Unexpected),
    #[error("the client keeps a compression table that it has acknowledged to give up")]
    Table,
}

impl Followed {
    /// A connection from its first byte on, or with the state of another process.
    pub(super) fn new(io: Io, state: Option<State>) -> Self {
        let follower = match &state {
            Some(state) => Follower::resumed(state),
            None => Follower::new(),
        };
        Self(Arc::new(Mutex::new(Inner {
            io: Some(io),
            follower,
            prologue: state.map(Prologue::new),
            out: Vec::new(),
            leaves: false,
            flushes: false,
            sieve: None,
            passed: Vec::new(),
            refused: None,
            reader: None,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether h2 knows its position.
    pub(super) fn has_begun(&self) -> bool {
        self.inner().prologue.is_none()
    }

    /// Number of reset streams whose client may not know of it yet.
    pub(super) fn cut_off(&self) -> u64 {
        self.inner().follower.cut_off()
    }

    /// Whether a request is open, or on its way here.
    pub(super) fn is_busy(&self) -> bool {
        self.inner().follower.is_busy()
    }

    /// Whether one side has announced the end.
    pub(super) fn is_over(&self) -> bool {
        self.inner().follower.is_over()
    }

    /// Whether the client's table is empty, and it knows that.
    pub(super) fn is_certain(&self) -> bool {
        self.inner().follower.is_certain()
    }

    /// Tells the client, if necessary, to empty its table, because the connection is to move.
    pub(super) fn prepare(&self, cx: &mut Context<'_>, probe: &Probe) {
        let mut inner = self.inner();
        if inner.prologue.is_some() || inner.refused.is_some() {
            return;
        }
        // If h2 has something to flush, it does.
        inner.leaves = true;
        if inner.tell_table() {
            inner.flushes = probe.is_clean();
        }
        // h2 gets an error as well.
        let is_written = inner.poll_out(cx).is_ready();
        if is_written && inner.flushes && inner.poll_flush(cx).is_ready() {
            inner.flushes = false;
        }
    }

    /// Whether the client was told to ask elsewhere.
    pub(super) fn was_refused(&self) -> bool {
        self.inner().refused.is_some()
    }

    /// The socket, in any state.
    pub(super) fn take_anyway(&self) -> Option<Io> {
        self.inner().io.take()
    }

    /// The socket and the state to continue it, if no request is open. All that h2 has written has to be flushed.
    pub(super) fn take(&self) -> Option<(Io, State)> {
        let mut inner = self.inner();
        let on_the_way = inner.out.len() + inner.passed.len();
        if inner.prologue.is_some() || inner.refused.is_some() || on_the_way > 0 {
            return None;
        }
        let state = inner.follower.state()?;
        let mut io = inner.io.take()?;
        io.give_back(inner.follower.unread());
        Some((io, state))
    }
}

impl Inner {
    /// Takes all of these bytes, which h2 has written.
    fn hear(&mut self, bytes: &[u8]) {
        let Some(prologue) = &mut self.prologue else {
            // It has ended with the bytes before.
            self.follower.wrote(bytes);
            self.out.extend_from_slice(bytes);
            return;
        };
        if prologue.failure().is_some() {
            return;
        }
        let before = self.out.len();
        prologue.hears(bytes, &mut self.out);
        self.follower.wrote(&self.out[before..]);
        if prologue.is_over() {
            self.prologue = None;
        } else if let Some(why) = prologue.failure() {
            tracing::error!(%why, "an HTTP/2 connection that has moved cannot go on: please report it");
            self.refuse(Refused::Unexpected(why));
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(prologue) = &mut self.prologue {
            let room = buf.remaining();
            let said = prologue.says(room);
            if !said.is_empty() {
                buf.put_slice(said);
                return Poll::Ready(Ok(()));
            }
            if let Some(why) = self.refused {
                // Once: the connection is over.
                let _ = self.poll_out(cx);
                return Poll::Ready(Err(io::Error::other(why)));
            }
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.sieve.is_some() || !self.passed.is_empty() {
            return self.poll_sifted(cx, buf);
        }
        let Some(io) = &mut self.io else {
            return Poll::Pending;
        };
        let before = buf.filled().len();
        ready!(Pin::new(io).poll_read(cx, buf))?;
        let frames = self.follower.read(&buf.filled()[before..]);
        if frames.is_err() {
            buf.set_filled(before);
        }
        self.looked(cx, frames)
    }

    /// The same, while acknowledgements for us are sifted out.
    fn poll_sifted(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.passed.is_empty() {
                let count = buf.remaining().min(self.passed.len());
                buf.put_slice(&self.passed[..count]);
                self.passed.drain(..count);
                return Poll::Ready(Ok(()));
            }
            let Some(io) = &mut self.io else {
                return Poll::Pending;
            };
            let mut bytes = [0; 4096];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(io).poll_read(cx, &mut read))?;
            let read = read.filled();
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let frames = self.follower.read(read);
            match &mut self.sieve {
                _ if frames.is_err() => {}
                Some(sieve) => {
                    sieve.pass(read, &mut self.passed);
                    if sieve.is_over() {
                        self.sieve = None;
                    }
                }
                None => self.passed.extend_from_slice(read),
            }
            ready!(self.looked(cx, frames))?;
        }
    }

    /// Handles bytes that were read, before h2 gets them.
    #[inline]
    fn looked(
        &mut self,
        cx: &mut Context<'_>,
        frames: Result<(), BrokenPromise>,
    ) -> Poll<io::Result<()>> {
        if frames.is_err() {
            self.refuse(Refused::Table);
            let _ = self.poll_out(cx);
            return Poll::Ready(Err(io::Error::other(Refused::Table)));
        }
        self.tell_table();
        Poll::Ready(Ok(()))
    }

    /// Tells the client the allowed size of its table, if that changes.
    #[inline]
    fn tell_table(&mut self) -> bool {
        let Some(size) = self.follower.table_to_tell(self.leaves) else {
            return false;
        };
        let mut settings = Settings::default();
        settings.set(HEADER_TABLE_SIZE, size);
        let before = self.out.len();
        put(&mut self.out, SETTINGS, 0, 0, &settings.payload());
        self.follower.wrote(&self.out[before..]);
        let frames = self.follower.client_frames();
        self.sieve
            .get_or_insert_with(|| Sieve::new(frames))
            .expect();
        true
    }

    /// Tells the client that its next requests are not handled: it may ask elsewhere.
    fn refuse(&mut self, why: Refused) {
        self.refused = Some(why);
        let last = [self.follower.last().to_be_bytes(), [0; 4]].concat();
        put(&mut self.out, GOAWAY, 0, 0, &last);
    }

    /// Writes our own bytes.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let Some(io) = &mut self.io else {
                return Poll::Pending;
            };
            let count = ready!(Pin::new(io).poll_write(cx, &self.out))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.prologue.is_some() {
            for buf in bufs {
                self.hear(buf);
            }
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        ready!(self.poll_out(cx))?;
        self.flushes = false;
        let Some(io) = &mut self.io else {
            return Poll::Pending;
        };
        let count = ready!(Pin::new(io).poll_write_vectored(cx, bufs))?;
        let mut left = count;
        for buf in bufs {
            let taken = &buf[..left.min(buf.len())];
            self.follower.wrote(taken);
            left -= taken.len();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        match &mut self.io {
            Some(io) => Pin::new(io).poll_flush(cx),
            None => Poll::Pending,
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        match &mut self.io {
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => Poll::Pending,
        }
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Followed(followed) => followed.inner().poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Followed(followed) => followed.inner().poll_write(cx, &[IoSlice::new(buf)]),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Followed(followed) => followed.inner().poll_write(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Followed(followed) => {
                let inner = followed.inner();
                inner.io.as_ref().is_some_and(Io::is_write_vectored)
            }
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Followed(followed) => followed.inner().poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Followed(followed) => followed.inner().poll_shutdown(cx),
        }
    }
}
