//! WebSocket as bytes, which an app may hand over to the next generation.

mod hand_over;

use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Peer;
use super::io::Io;
use crate::websocket::Frames;

pub use hand_over::{Refusal, Refused, hand_over};

/// Bytes of an incomplete message that are kept. After more, the WebSocket does not move before the message ends.
const MOST_KEPT: usize = 512 * 1024;
/// A larger buffer is freed after a message.
const SMALL: usize = 4 * 1024;

/// The bytes of a WebSocket: what a WebSocket library reads and writes, such as tokio-tungstenite's
/// `WebSocketStream::from_raw_socket`. An app takes it out of the library again to [`hand_over`] it to the next generation.
///
/// It sees to it that nothing is lost on the way. No read goes beyond the end of a frame, so the library has nothing of the next
/// message when it has given a message to the app. What it has of a message that has not ended (up to 512 KiB) is kept here until
/// that ends, goes along, and is read again from its beginning. So the library has to give the app whole messages, not pieces.
pub struct RawWebSocket(Box<Inner>);

struct Inner {
    below: Underlying,
    /// From the client.
    incoming: Frames,
    /// To the client.
    outgoing: Frames,
    /// Read from the connection, and not by the library, which reads it from `at` on.
    ahead: Vec<u8>,
    at: usize,
    /// What the library has of an incomplete message.
    kept: PartialMessage,
    /// Whether the rest of a message is skipped.
    skips: bool,
}

enum Underlying {
    /// A connection of ours, which may leave this process.
    Own(Box<Io>),
    /// From HTTP/2, or from another server.
    Foreign(Box<TokioIo<Upgraded>>),
    /// Cut at the deadline of a drain.
    Gone,
}

enum PartialMessage {
    Bytes(Vec<u8>),
    TooMuch,
}

impl RawWebSocket {
    /// Of a request that was answered with 101: what [`hyper::upgrade::on`] has for it.
    ///
    /// The WebSocket must have no extension such as compression: what it knows of earlier messages does not go along. So the
    /// answer must not accept any (`Sec-WebSocket-Extensions`).
    #[must_use]
    pub fn new(upgraded: Upgraded) -> Self {
        let below = match upgraded.downcast::<TokioIo<Io>>() {
            Ok(parts) => {
                let mut io = parts.io.into_inner();
                io.give_back(&parts.read_buf);
                Underlying::Own(Box::new(io))
            }
            Err(upgraded) => Underlying::Foreign(Box::new(TokioIo::new(upgraded))),
        };
        Self::over(below)
    }

    fn over(below: Underlying) -> Self {
        Self(Box::new(Inner {
            below,
            incoming: Frames::default(),
            outgoing: Frames::default(),
            ahead: Vec::new(),
            at: 0,
            kept: PartialMessage::Bytes(Vec::new()),
            skips: false,
        }))
    }

    /// A WebSocket of another process.
    pub(super) fn moved(io: Io) -> Self {
        Self::over(Underlying::Own(Box::new(io)))
    }

    /// Whether no message is incomplete, in either direction.
    #[cfg(test)]
    pub(crate) fn is_between_messages(&self) -> bool {
        self.0.incoming.is_between_messages() && self.0.outgoing.is_between_messages()
    }

    /// Who is on the other side; none of a connection that cannot be handed over, and of one that was cut. Its address is the
    /// same in each generation.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        match &self.0.below {
            Underlying::Own(io) => Some(io.probe().peer),
            Underlying::Foreign(_) | Underlying::Gone => None,
        }
    }
}

impl Inner {
    /// For another library: it reads an incomplete message again from its beginning, or skips it if that is gone.
    fn rewind(&mut self) {
        match std::mem::replace(&mut self.kept, PartialMessage::Bytes(Vec::new())) {
            PartialMessage::Bytes(mut kept) => {
                kept.extend(&self.ahead[self.at..]);
                (self.ahead, self.at) = (kept, 0);
                self.incoming.restart();
            }
            PartialMessage::TooMuch => self.skips = true,
        }
    }

    /// Reads at most up to the end of a frame.
    fn poll_frame(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.at < self.ahead.len() {
            let ahead = &self.ahead[self.at..];
            let ahead = &ahead[..ahead.len().min(buf.remaining())];
            let count = self.incoming.follow(ahead);
            buf.put_slice(&ahead[..count]);
            self.at += count;
            if self.at == self.ahead.len() {
                (self.ahead, self.at) = (Vec::new(), 0);
            }
        } else {
            ready!(self.below.poll_read(cx, buf))?;
            let came = &buf.filled()[before..];
            let count = self.incoming.follow(came);
            self.ahead.extend(&came[count..]);
            buf.set_filled(before + count);
        }
        self.gives(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }

    /// The library gets these bytes, of one frame at most.
    fn gives(&mut self, bytes: &[u8]) {
        if self.incoming.is_between_messages() {
            match &mut self.kept {
                PartialMessage::Bytes(kept) if kept.capacity() <= SMALL => kept.clear(),
                kept => *kept = PartialMessage::Bytes(Vec::new()),
            }
            return;
        }
        match &mut self.kept {
            PartialMessage::Bytes(kept) if kept.len() + bytes.len() <= MOST_KEPT => {
                kept.extend(bytes);
            }
            // Also for a skipped message: it is no longer counted.
            kept => *kept = PartialMessage::TooMuch,
        }
    }
}

impl AsyncRead for RawWebSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self.0;
        let before = buf.filled().len();
        let room = buf.remaining();
        loop {
            ready!(this.poll_frame(cx, buf))?;
            if !this.skips || room == 0 || buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            buf.set_filled(before);
            this.skips = !this.incoming.is_between_messages();
        }
    }
}

impl Underlying {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Own(io) => Pin::new(io).poll_read(cx, buf),
            Self::Foreign(io) => Pin::new(io).poll_read(cx, buf),
            Self::Gone => Poll::Ready(Err(ErrorKind::ConnectionAborted.into())),
        }
    }
}

impl AsyncWrite for RawWebSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self.0;
        let written = ready!(match &mut this.below {
            Underlying::Own(io) => Pin::new(io).poll_write(cx, buf),
            Underlying::Foreign(io) => Pin::new(io).poll_write(cx, buf),
            Underlying::Gone => Poll::Ready(Err(ErrorKind::ConnectionAborted.into())),
        })?;
        let mut rest = &buf[..written];
        while !rest.is_empty() {
            let followed = this.outgoing.follow(rest);
            rest = &rest[followed..];
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.below {
            Underlying::Own(io) => Pin::new(io).poll_flush(cx),
            Underlying::Foreign(io) => Pin::new(io).poll_flush(cx),
            Underlying::Gone => Poll::Ready(Err(ErrorKind::ConnectionAborted.into())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.below {
            Underlying::Own(io) => Pin::new(io).poll_shutdown(cx),
            Underlying::Foreign(io) => Pin::new(io).poll_shutdown(cx),
            Underlying::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl fmt::Debug for RawWebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawWebSocket").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
