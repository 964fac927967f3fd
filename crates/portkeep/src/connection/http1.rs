//! An HTTP/1 connection.
//!
//! A connection that is between requests and flushed can go to another process: it is taken out of
//! hyper as it is, with `into_parts` and nothing else. Nothing is announced, no state changes.
//!
//! hyper's `graceful_shutdown` is used for one state only, idle and flushed: in others it closes a
//! connection that was just accepted without an answer, drops a head that has half arrived, or
//! ends a connection whose running answer has promised keep-alive. Everything else ends through
//! `Connection: close` in an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper_util::rt::TokioIo;

use super::HEAD_TIMEOUT;
use super::answering::Answering;
use super::farewell::farewell;
use super::io::Io;
use super::patience::{Patience, Wait};
use super::probe::HeadTimer;
use crate::app::ErasedApp;
use crate::drain::{Phase, count};

/// How the connection's future ended.
enum End {
    Over(hyper::Result<()>),
    /// Not the end: it can go to the next generation.
    Idle,
    Cut,
}

/// Serves it until it is over. If it comes back, it is idle and can be moved.
pub(super) async fn serve(io: Io, app: ErasedApp) -> Option<Io> {
    let probe = io.probe();
    let shared = Arc::clone(&probe.shared);
    let mut connection = connection(io, app);
    let mut watch = std::pin::pin!(shared.phases.watch());
    let mut patience = Patience::default();

    let end = std::future::poll_fn(|cx| {
        loop {
            // Before the connection: if the phase ends in between, the task is woken again.
            let phase = probe.sees(watch.as_mut().poll_phase(cx));
            if phase == Phase::Cut {
                return Poll::Ready(End::Cut);
            }
            let was_clean = probe.is_clean();
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(End::Over(result));
            }
            if !was_clean && probe.is_clean() {
                // hyper does not look again for a pipelined request that it parsed while the
                // answer before was still on its way out; without this poll it hangs.
                continue;
            }
            if phase == Phase::Moving && probe.is_movable() {
                return Poll::Ready(End::Idle);
            }
            match patience.poll(cx, &probe, phase) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Wait::Head) => probe.expire(),
                Poll::Ready(Wait::LastRequest) => {
                    count(&shared.counts.idle_closed);
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
    })
    .await;

    match end {
        End::Cut => probe.count_cut(),
        End::Idle => {
            // Its parts are there: an upgraded connection is over, not idle.
            let parts = connection.into_parts()?;
            let mut io = parts.io.into_inner();
            // What hyper has read comes before what is still to be read again.
            io.give_back(&parts.read_buf);
            return Some(io);
        }
        End::Over(result) => {
            let say_goodbye = match &result {
                Ok(()) => true,
                // hyper has answered 400 or the like.
                Err(error) => error.is_parse(),
            };
            if let Err(error) = result {
                tracing::debug!(%error, "connection ended");
            }
            // No parts: it was upgraded and belongs to the app now.
            if let Some(parts) = connection.into_parts()
                && say_goodbye
            {
                farewell(parts.io.into_inner(), !parts.read_buf.is_empty()).await;
            }
        }
    }
    None
}

/// The only type of them: for each one more, every app links all of hyper's HTTP/1 once more.
pub(super) type Connection = UpgradeableConnection<TokioIo<Io>, Answering>;

/// Serves nothing before it is polled.
pub(super) fn connection(io: Io, app: ErasedApp) -> Connection {
    let probe = io.probe();
    let mut builder = Builder::new();
    builder
        .timer(HeadTimer(Arc::clone(&probe)))
        // Starts the timer; its length is the business of `patience`.
        .header_read_timeout(HEAD_TIMEOUT)
        // With it, a flush would not tell that everything is written.
        .pipeline_flush(false);
    builder
        .serve_connection(TokioIo::new(io), Answering::new(app, probe))
        .with_upgrades()
}
