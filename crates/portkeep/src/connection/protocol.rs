//! Detects HTTP/1 or HTTP/2 from the first bytes.

use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::io::Io;
use super::probe::Probe;
use super::retry_pause::RetryPause;
use crate::drain::{Phase, count};
use crate::limits::Order;

/// What an HTTP/2 client with prior knowledge sends first. No HTTP/1 request begins like this.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Protocol that the first bytes of a connection show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detected {
    Http1,
    Http2,
    /// Undecided, and the connection can move. The next process looks again.
    Undecided,
    /// The client has closed or sent nothing in time, or the server ends.
    Over,
}

/// Waits for enough bytes to decide, and puts them back to be read again.
pub(super) async fn detect(io: &mut Io) -> Detected {
    let probe = io.probe();
    let mut bytes = [0; PREFACE.len()];
    let mut buf = ReadBuf::new(&mut bytes);
    let first = tokio::select! {
        biased;
        first = first_bytes(io, &mut buf) => first,
        order = probe.ordered() => {
            if let Order::End(reason) = order {
                probe.shared.counts.ended.count(reason);
            }
            Detected::Over
        }
        () = reached(&probe, Phase::Moving) => Detected::Undecided,
        () = too_late(&probe) => {
            count(&probe.shared.counts.idle_closed);
            Detected::Over
        }
        () = probe.shared.phases.reached(Phase::Cut) => {
            count(&probe.shared.counts.cut.silent);
            Detected::Over
        }
    };
    io.give_back(buf.filled());
    first
}

/// Waits for the phase in which a connection moves, and until it may be tried; for ever if this one does not move.
async fn reached(probe: &Probe, phase: Phase) {
    probe.shared.phases.reached(phase).await;
    RetryPause::new(probe).now().await;
    if probe.sees(probe.shared.phases.current()) != phase {
        std::future::pending::<()>().await;
    }
}

/// Waits until a connection without a request may not begin one any more.
async fn too_late(probe: &Probe) {
    if !probe.draining() {
        probe.shared.phases.reached(Phase::Draining).await;
    }
    // It is known when that phase begins.
    if !probe.shared.is_hurried() {
        std::future::pending::<()>().await;
    }
}

async fn first_bytes(io: &mut Io, buf: &mut ReadBuf<'_>) -> Detected {
    loop {
        let before = buf.filled().len();
        // An error is like the end: hyper would not say more.
        std::future::poll_fn(|cx| {
            ready!(Pin::new(&mut *io).poll_read(cx, buf)).ok();
            Poll::Ready(())
        })
        .await;
        let got = buf.filled();
        if got.len() == before {
            return Detected::Over;
        }
        if *got != PREFACE[..got.len()] {
            return Detected::Http1;
        }
        if got.len() == PREFACE.len() {
            return Detected::Http2;
        }
    }
}
