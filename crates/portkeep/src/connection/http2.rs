//! An HTTP/2 connection: its own GOAWAY does what HTTP/1 needs care for.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::TokioIo;

use super::answering::Answering;
use super::io::Io;
use super::late_pong::LatePong;
use crate::app::ErasedApp;
use crate::drain::{Phase, count};
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
    let ending = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(LatePong::new(io, Arc::clone(&ending)));
    let mut connection = pin!(builder.serve_connection(io, Answering::new(app, probe)));

    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shared.phases.reached(Phase::Moving) => {
            // "No new streams soon", a ping, and when that is answered "none from here on": what
            // was on its way is still served.
            // Where nobody is to wait for this end, there are no such streams either, or the app does
            // not want them.
            ending.store(!shared.is_hurried(), Ordering::SeqCst);
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection.as_mut() => result,
                () = shared.phases.reached(Phase::Cut) => {
                    count(&shared.counts.cut.http2);
                    return;
                }
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
