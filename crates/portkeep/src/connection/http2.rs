//! An HTTP/2 connection: its own GOAWAY does what HTTP/1 needs care for.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::sleep;

use super::answering::Answering;
use super::io::Io;
use super::late_pong::LatePong;
use super::probe::{Probe, Stage};
use crate::app::ErasedApp;
use crate::drain::{Phase, Shared, count};
use crate::limits::{Order, Reason};
use crate::task;

/// Each stream is a task.
#[derive(Clone, Copy)]
struct Tasks;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, stream: F) {
        task::spawn(stream);
    }
}

pub(super) async fn serve(io: Io, app: ErasedApp) {
    let probe = io.probe();
    let shared = Arc::clone(&probe.shared);
    let mut builder = Builder::new(Tasks);
    // WebSockets over HTTP/2.
    builder.enable_connect_protocol();
    if let Some((ping, pong)) = shared.limits.pings() {
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(ping)
            .keep_alive_timeout(pong);
    }
    probe.enter(Stage::Http2);
    let ending = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(LatePong::new(io, Arc::clone(&ending)));
    let mut connection =
        pin!(builder.serve_connection(io, Answering::new(app, Arc::clone(&probe))));

    let told = tokio::select! {
        result = connection.as_mut() => return over(result, &shared),
        order = probe.ordered() => Some(order),
        () = shared.phases.reached(Phase::Moving) => None,
    };
    // "No new streams soon", a ping, and when that is answered "none from here on": what was on its way is
    // still served.
    // Where nobody is to wait for this end, there are no such streams either, or the app does not want them.
    ending.store(told.is_some() || !shared.is_hurried(), Ordering::SeqCst);
    connection.as_mut().graceful_shutdown();
    let reason = told.and_then(|order| match order {
        Order::End(reason) => Some(reason),
        Order::Look | Order::Last => None,
    });
    if let Some(reason) = reason {
        shared.counts.ended.count(reason);
        tracing::debug!(%reason, "a connection ends by a limit");
    }
    tokio::select! {
        result = connection.as_mut() => over(result, &shared),
        () = too_late(&probe, reason) => {}
        () = shared.phases.reached(Phase::Cut) => count(&shared.counts.cut.http2),
    }
}

/// How long a client may take to hear that its connection ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// Waits until there is no point in waiting for the end of a connection that a limit ends.
async fn too_late(probe: &Probe, reason: Option<Reason>) {
    match reason {
        // A drain has its deadline.
        None => pending().await,
        // What runs comes to its end; what is sent keeps it from being idle.
        Some(Reason::Age) => while let Order::End(Reason::Age) = probe.ordered().await {},
        // There was nothing, but something may have come in this moment.
        Some(Reason::Idle | Reason::Crowded) => loop {
            sleep(GOODBYE).await;
            if probe.has_no_stream() {
                return;
            }
        },
        Some(Reason::Head | Reason::Body | Reason::Answer | Reason::Ping) => sleep(GOODBYE).await,
    }
}

fn over(result: hyper::Result<()>, shared: &Shared) {
    if let Err(error) = result {
        if error.is_timeout() {
            shared.counts.ended.count(Reason::Ping);
        }
        tracing::debug!(%error, "connection ended");
    }
}
