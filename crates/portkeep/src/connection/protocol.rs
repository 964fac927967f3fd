//! Detects HTTP/1 or HTTP/2 from the first bytes.

use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::io::Io;
use super::later::Later;
use super::probe::Probe;
use crate::drain::{Phase, count};
use crate::limits::Order;
use crate::moving::Turn;

/// What an HTTP/2 client with prior knowledge sends first. No HTTP/1 request begins like this.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What came of waiting for the first bytes.
#[derive(Debug)]
pub(super) enum First {
    Http1,
    Http2,
    /// They have not decided, and the connection can be moved. The next process looks again.
    Quiet(Turn),
    /// The client has left or sent nothing in time, or the server is at its end.
    Over,
}

/// Waits for enough bytes to tell, and gives them back to be read again.
pub(super) async fn detect(io: &mut Io) -> First {
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
            First::Over
        }
        turn = may_move(&probe) => First::Quiet(turn),
        () = too_late(&probe) => {
            count(&probe.shared.counts.idle_closed);
            First::Over
        }
        () = probe.shared.phases.reached(Phase::Cut) => {
            count(&probe.shared.counts.cut.silent);
            First::Over
        }
    };
    io.give_back(buf.filled());
    first
}

/// Waits for the phase in which a connection moves, until it may be tried, and for its turn; for ever, if this one does not.
async fn may_move(probe: &Probe) -> Turn {
    probe.shared.phases.reached(Phase::Moving).await;
    Later::new(probe).now().await;
    let moves = || probe.sees(probe.shared.phases.current()) == Phase::Moving;
    if moves() {
        let turn = probe.shared.departures.turn().await;
        if moves() {
            return turn;
        }
    }
    std::future::pending().await
}

/// Waits until a connection that has not begun may not begin any more.
async fn too_late(probe: &Probe) {
    if !probe.draining() {
        probe.shared.phases.reached(Phase::Draining).await;
    }
    // Known by the time that phase begins.
    if !probe.shared.is_hurried() {
        std::future::pending::<()>().await;
    }
}

async fn first_bytes(io: &mut Io, buf: &mut ReadBuf<'_>) -> First {
    loop {
        let before = buf.filled().len();
        // An error ends it like the end: hyper would not say more.
        std::future::poll_fn(|cx| {
            ready!(Pin::new(&mut *io).poll_read(cx, buf)).ok();
            Poll::Ready(())
        })
        .await;
        let got = buf.filled();
        if got.len() == before {
            return First::Over;
        }
        if *got != PREFACE[..got.len()] {
            return First::Http1;
        }
        if got.len() == PREFACE.len() {
            return First::Http2;
        }
    }
}
