//! On `ecdysis`, as its example shows it, with hyper-util's graceful shutdown: SIGHUP starts the next one.

use std::time::Duration;

use ecdysis::tokio_ecdysis::{SignalKind, StopOnShutdown, TokioEcdysisBuilder};
use futures_util::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use peers::{Release, never_told, router};

/// As long as portkeep's drain.
const DRAIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let release = Release::start().await?;
    let mut ecdysis = TokioEcdysisBuilder::new(SignalKind::hangup())?;
    ecdysis.stop_on_signal(SignalKind::terminate())?;
    let mut connections =
        ecdysis.build_listen_tcp(StopOnShutdown::Yes, release.address, |socket, address| {
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(1024)?;
            Ok(socket.into())
        })?;
    let app = TowerToHyperService::new(router(&release.version, never_told()));
    let (_ecdysis, ended) = ecdysis.ready()?;
    release.serving();

    let graceful = GracefulShutdown::new();
    let builder = Builder::new(TokioExecutor::new());
    let serve = async {
        while let Some(Ok(stream)) = connections.next().await {
            let connection =
                builder.serve_connection_with_upgrades(TokioIo::new(stream), app.clone());
            let connection = graceful.watch(connection.into_owned());
            tokio::spawn(async move {
                // A connection that breaks is its client's to report.
                let _ = connection.await;
            });
        }
    };
    let (_, ()) = tokio::join!(ended, serve);
    // What does not end in time is cut with the process.
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    Ok(())
}
