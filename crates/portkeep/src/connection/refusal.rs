//! The answer to a request that does not come to its end in time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::AsyncWrite;

use super::farewell::farewell;
use super::io::Io;

const TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Only where nothing of an answer was sent.
pub(super) async fn refuse(mut io: Io) {
    let said = poll_fn(|cx| match Pin::new(&mut io).poll_write(cx, TIMEOUT) {
        Poll::Ready(Ok(written)) => Poll::Ready(written == TIMEOUT.len()),
        // One that has no room for this does not listen.
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(false),
    });
    if !said.await {
        return;
    }
    let ended = poll_fn(|cx| {
        let ended = ready!(Pin::new(&mut io).poll_shutdown(cx));
        Poll::Ready(ended.is_ok())
    });
    if ended.await {
        farewell(io, true).await;
    }
}
