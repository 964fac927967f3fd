//! The life of a server: listen, check, ready, accept, drain.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::accept::accept;
use crate::app::App;
use crate::drain::{Asked, Limits, Phase, Report, Shared, supervise};
use crate::listen::{self, Listener};
use crate::notify;
use crate::server::{Check, Server};
use crate::signals::Signals;
use crate::{Error, ShutdownToken};

/// Serves `app` on every passed stream listener, or on 127.0.0.1:8080 if none is passed
/// (`PORTKEEP_LISTEN` names another address), until SIGTERM or SIGINT. Then it drains.
///
/// The same as [`Server::new().serve(app)`](Server::serve).
///
/// # Errors
///
/// If it cannot begin: see [`Error`].
pub async fn serve<A: App>(app: A) -> Result<(), Error> {
    Server::new().serve(app).await
}

pub(crate) async fn run<A: App>(server: Server, app: A) -> Result<(), Error> {
    // First, so that no signal kills the process half-way.
    let mut signals = Signals::watch().map_err(Error::Signals)?;
    let listeners = listen::open(&server.names, &server.address).await?;
    let _watchdog = notify::start_watchdog();

    notify::status("waiting for the app's checks");
    tokio::select! {
        biased;
        asked = end(&mut signals, &server.shutdown) => {
            tracing::info!(?asked, "asked to end before it was ready");
            server.shutdown.start();
            return Ok(());
        }
        passed = pass(server.checks) => passed?,
    }

    // READY=1 before the first accept: the listeners are shared with the generation that
    // serves, and whoever accepts has taken over.
    notify::ready().map_err(Error::Notify)?;
    let shared = Arc::new(Shared::new(server.linger));
    let addresses = describe(&listeners);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, app.clone(), Arc::clone(&shared)));
    }
    // The clones in the accept loops are enough; this one would outlive them.
    drop(app);
    notify::status(&format!("serving on {addresses}"));
    tracing::info!(%addresses, "serving");

    let asked = end(&mut signals, &server.shutdown).await;
    let limits = Limits {
        deadline: Instant::now() + server.drain_timeout,
        timeout: server.drain_timeout,
    };
    shared.phases.advance(Phase::Draining);
    // From here on nobody else can arrive.
    while accepting.join_next().await.is_some() {}
    server.shutdown.start();
    finish(&supervise(&shared, &mut signals, asked, limits).await);
    Ok(())
}

/// Waits until somebody wants the server to end.
async fn end(signals: &mut Signals, token: &ShutdownToken) -> Asked {
    tokio::select! {
        // The signal first: a handler may have heard it too and started the token.
        biased;
        signal = signals.next() => Asked::Signal(signal),
        () = token.started() => Asked::Token,
    }
}

async fn pass(checks: Vec<Check>) -> Result<(), Error> {
    for check in checks {
        check.await.map_err(Error::NotReady)?;
    }
    Ok(())
}

fn describe(listeners: &[Listener]) -> String {
    let addresses: Vec<_> = listeners.iter().map(Listener::to_string).collect();
    addresses.join(", ")
}

fn finish(report: &Report) {
    notify::status(&report.to_string());
    if report.cut.total() == 0 {
        tracing::info!("{report}");
    } else {
        tracing::warn!("{report}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only if a server can run in a task of its own, and for an `axum::Router`.
    #[test]
    fn it_can_be_spawned() {
        fn is_send<T: Send + 'static>(_: T) {}
        is_send(serve(axum::Router::new()));
        is_send(crate::shutdown());
    }
}
