//! A connection in the hands of the app's own code.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listen::Stream;

/// A connection as it was accepted, for [`Server::accept_with`](crate::Server::accept_with) and
/// [`Transport`](crate::Transport).
///
/// Dropping it closes the connection, unless another process has it.
#[derive(Debug)]
pub struct Accepted(pub(crate) Stream);

/// Forwards reading and writing to the stream inside.
macro_rules! hand_on {
    ($this:ident => $inside:expr) => {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let $this = &mut *self;
            Pin::new(&mut $inside).poll_write(cx, buf)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let $this = &mut *self;
            Pin::new(&mut $inside).poll_write_vectored(cx, bufs)
        }

        fn is_write_vectored(&self) -> bool {
            let $this = self;
            $inside.is_write_vectored()
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let $this = &mut *self;
            Pin::new(&mut $inside).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let $this = &mut *self;
            Pin::new(&mut $inside).poll_shutdown(cx)
        }
    };
}

pub(crate) use hand_on;

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
    hand_on!(this => this.0);
}
