//! Life of a server: listen, check, ready, accept, drain.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::acceptor::Acceptor;
use crate::app::{App, ErasedApp};
#[cfg(feature = "http2")]
use crate::connection::http2_can_move;
use crate::connection::hyper_is_as_expected;
use crate::drain::{Limits, Phase, Report, Shared, ShutdownCause, supervise};
use crate::drain_files::{DrainFiles, Drained};
use crate::health::Source;
use crate::health_in_app::AppHealth;
use crate::health_sockets::{Answered, HealthSockets};
use crate::listen::{self, Listener};
use crate::listeners::Listeners;
use crate::moving::{self, MoveSocket};
use crate::notify;
use crate::open_files;
use crate::server::{Check, Policy, Server};
use crate::signals::{self, Signals};
use crate::sweeper::sweep;
use crate::{Error, ShutdownToken, task};

/// Serves `app` on every passed stream listener, or on 127.0.0.1:8080 if none is passed
/// (`PORTKEEP_LISTEN` names another address), until SIGTERM or SIGINT. Then it drains.
///
/// The same as [`Server::new().serve(app)`](Server::serve).
///
/// Each connection is an open file: the process's soft limit of them, usually 1024, is raised to its
/// hard limit (`LimitNOFILE=`; 524,288 under systemd).
///
/// # Errors
///
/// If it cannot begin: see [`Error`].
pub async fn serve<A: App>(app: A) -> Result<(), Error> {
    Server::new().serve(app).await
}

/// Boxed, so that this crate compiles it and not the caller's.
pub(crate) fn run(server: Server, app: ErasedApp) -> task::Boxed<Result<(), Error>> {
    task::boxed(live(server, app))
}

async fn live(mut server: Server, app: ErasedApp) -> Result<(), Error> {
    server.obey_environment();
    server.limits.check()?;
    #[cfg(all(feature = "dev", any(debug_assertions, feature = "dev-in-release")))]
    let app = {
        let token = server.shutdown.clone();
        let layer = crate::dev::Layer::new(app, token, server.acceptor.as_ref());
        layer.announce().await;
        ErasedApp::new(layer)
    };
    // First, so that no signal kills the process in the middle of this.
    let mut signals = Signals::watch().map_err(Error::Signals)?;
    let files = open_files::raise_limit();
    // Before the app's sockets, which are all that are left.
    let health_sockets = HealthSockets::open()?;
    let drains = DrainFiles::from_env();
    let in_app = Arc::new(AppHealth::new(server.health, drains.clone()));
    let mut listeners = listen::open(&server.names, &server.address, server.reuse_port).await?;
    for listener in &mut listeners {
        listener.acceptor.clone_from(&server.acceptor);
    }
    let mut beside = JoinSet::new();
    if let Some(reread) = server.hangup.take() {
        let rereading = signals::at_hangups(reread).map_err(Error::Signals)?;
        beside.spawn(task::boxed(rereading));
    }
    // Another server may have connections that move.
    let moves = server.acceptor.as_ref().is_none_or(Acceptor::moves);
    let move_socket = if moves { move_socket() } else { None };
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

    // READY=1 before the first accept: the current generation shares the listeners, and a process that accepts has taken
    // over.
    notify::ready().map_err(Error::Notify)?;
    let (departures, inbox) = moving::departures();
    let most = server.limits.most_connections(files);
    let shared = Shared::new(server.linger, departures).limited(server.limits, most);
    #[cfg(feature = "http2")]
    let shared = {
        let moves = move_socket.is_some() && server.move_http2 && http2_can_move();
        shared.moving_http2(moves)
    };
    let shared = Arc::new(shared);
    if server.policy == Policy::Fresh {
        shared.hurry();
    }
    // The first answer says so already.
    let ending = drains.look().and_then(Drained::ending);
    shared.taken_out().set(ending);
    let addresses = describe(&listeners);
    let next = move_socket.as_ref().map(MoveSocket::address);
    let source = server.health_source.take();
    let source = source.unwrap_or_else(|| Arc::clone(&in_app) as Arc<dyn Source>);
    let health = health_sockets.answer(&source);
    let status = format!("serving on {addresses}");
    let sweeping = sweep(Arc::clone(&shared), Some(status), drains.clone());
    beside.spawn(task::boxed(async {
        sweeping.await;
    }));
    let mut listeners = Listeners {
        sockets: listeners,
        move_socket,
        resumers: server.resumers,
    };
    let idle_exit = server.idle_exit.filter(|_| listeners.are_held_elsewhere());
    if idle_exit != server.idle_exit {
        tracing::warn!(
            "it does not end when idle: nobody else holds {addresses}, so nobody would start it again"
        );
    }
    let asked = loop {
        let open = listeners.open(&app, &shared);
        notify::status(&format!("serving on {addresses}"));
        tracing::info!(%addresses, "serving");
        let quiet = tokio::select! {
            biased;
            asked = end(&mut signals, &server.shutdown) => {
                open.close().await;
                break asked;
            }
            quiet = shared.idle_for(idle_exit) => quiet,
        };
        listeners = open.close().await;
        // Clients of the moment of closing have to be served by a process that accepts.
        if shared.is_still(quiet) {
            shared.hurry();
            break ShutdownCause::Idle;
        }
    };
    let limits = Limits::from_now(server.drain_timeout, server.linger);
    // From now on the next generation answers for the health. If there is none, this one reports that it ends.
    let mut health = Some(health);
    if asked == ShutdownCause::Idle || moving::is_succeeded(drains.run_directory()) {
        close(&mut health).await;
    } else {
        in_app.stop();
    }
    server.shutdown.start();
    // Announces when connections can move, and when they end here.
    let mut departing = JoinSet::new();
    match next {
        // A generation that exits when idle has no successor; looking for one would start it.
        Some(next) if asked != ShutdownCause::Idle => {
            departing.spawn(task::boxed(moving::send(next, inbox, Arc::clone(&shared))));
        }
        _ => shared.phases.advance(Phase::Draining),
    }
    finish(&supervise(&shared, &mut signals, asked, limits).await);
    close(&mut health).await;
    Ok(())
}

async fn close(health: &mut Option<Answered>) {
    if let Some(health) = health.take() {
        health.close().await;
    }
}

/// The move socket, if this hyper supports moving connections.
fn move_socket() -> Option<MoveSocket> {
    let socket = MoveSocket::open()?;
    if hyper_is_as_expected() {
        return Some(socket);
    }
    tracing::error!(
        "this version of hyper does not do what moving connections relies on: they are drained \
         instead; please report it"
    );
    None
}

/// Waits until something asks the server to end.
async fn end(signals: &mut Signals, token: &ShutdownToken) -> ShutdownCause {
    tokio::select! {
        // The signal first: a handler may have received it too and started the token.
        biased;
        signal = signals.next() => ShutdownCause::Signal(signal),
        () = token.started() => ShutdownCause::Token,
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
