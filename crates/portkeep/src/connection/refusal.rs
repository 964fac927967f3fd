//! Answer to a request that does not arrive in time (408).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::timeout;

use super::io::Io;
use super::lingering_close::lingering_close;

const REFUSAL: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// How long a client may take to make room for it.
const TIME: Duration = Duration::from_secs(2);

/// Only if no byte of an answer was sent.
pub(super) async fn refuse(mut io: Io) {
    if let Ok(Ok(())) = timeout(TIME, say(&mut io)).await {
        lingering_close(io, true).await;
    }
}

async fn say(io: &mut Io) -> io::Result<()> {
    let mut left = REFUSAL;
    while !left.is_empty() {
        let written = poll_fn(|cx| Pin::new(&mut *io).poll_write(cx, left)).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        left = &left[written..];
    }
    poll_fn(|cx| Pin::new(&mut *io).poll_flush(cx)).await?;
    poll_fn(|cx| Pin::new(&mut *io).poll_shutdown(cx)).await
}
