//! Lingering close: closes a connection without losing the answer that is being sent.
//!
//! Closing a socket with unread bytes sends a reset, and a reset discards what the client has received but not read. So
//! after the end of our side (hyper has sent it) the client's bytes are read and discarded until it ends its side too, or
//! time is over.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use super::io::Io;
use crate::drain::Phase;

/// How long a client may take to notice the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// `unparsed`: whether hyper had read more than it used.
pub(super) async fn lingering_close(mut io: Io, unparsed: bool) {
    let probe = io.probe();
    if probe.has_ended() {
        return;
    }
    // While the server drains, the client did not know that its last request was the last: more may be on their way.
    let expected = unparsed || probe.last_had_body() || probe.draining();
    if !expected && !has_unread(&mut io).await {
        return;
    }
    tokio::select! {
        _ = timeout(FAREWELL, discard(&mut io)) => {}
        () = probe.shared.phases.reached(Phase::Cut) => {}
    }
}

/// Whether bytes are waiting right now.
async fn has_unread(io: &mut Io) -> bool {
    poll_fn(|cx| {
        let mut bytes = [0; 64];
        let mut buf = ReadBuf::new(&mut bytes);
        Poll::Ready(match Pin::new(&mut *io).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) => !buf.filled().is_empty(),
            _ => false,
        })
    })
    .await
}

async fn discard(io: &mut Io) -> io::Result<()> {
    let mut bytes = vec![0; 8 * 1024];
    loop {
        let mut buf = ReadBuf::new(&mut bytes);
        poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, &mut buf)).await?;
        if buf.filled().is_empty() {
            return Ok(());
        }
    }
}
