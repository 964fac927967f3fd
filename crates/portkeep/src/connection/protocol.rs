//! HTTP/1 or HTTP/2: the first bytes tell.

use std::pin::Pin;
use std::task::ready;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use super::HEAD_TIMEOUT;
use super::io::Io;
use crate::drain::{Phase, count};

/// What an HTTP/2 client with prior knowledge sends first. No HTTP/1 request begins like this.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Waits for enough bytes to tell, and gives them back to be read again. `None` if the client
/// leaves or sends nothing in time, or the server is at its end.
pub(super) async fn detect(io: &mut Io) -> Option<Protocol> {
    let shared = io.probe().shared.clone();
    tokio::select! {
        biased;
        first = timeout(HEAD_TIMEOUT, first_bytes(io)) => first.ok().flatten(),
        () = shared.phases.reached(Phase::Cut) => {
            count(&shared.counts.cut.silent);
            None
        }
    }
}

async fn first_bytes(io: &mut Io) -> Option<Protocol> {
    let mut bytes = [0; PREFACE.len()];
    let mut buf = ReadBuf::new(&mut bytes);
    let protocol = loop {
        let before = buf.filled().len();
        let read = std::future::poll_fn(|cx| {
            ready!(Pin::new(&mut *io).poll_read(cx, &mut buf)).ok();
            std::task::Poll::Ready(())
        });
        read.await;
        let got = buf.filled();
        if got.len() == before {
            // The end, or an error: hyper would not say more.
            return None;
        }
        if *got != PREFACE[..got.len()] {
            break Protocol::Http1;
        }
        if got.len() == PREFACE.len() {
            break Protocol::Http2;
        }
    };
    io.give_back(buf.filled());
    Some(protocol)
}
