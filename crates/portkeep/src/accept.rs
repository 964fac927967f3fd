//! Accepts connections until the server drains.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::sleep;

use crate::app::App;
use crate::connection;
use crate::drain::{Phase, Shared};
use crate::listen::Listener;

/// The pause after an error that will not go away at once, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// And the longest one, when the error stays.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Returns when the server drains; the listener is closed by then.
pub(crate) async fn accept<A: App>(listener: Listener, app: A, shared: Arc<Shared>) {
    let mut draining = pin!(shared.phases.reached(Phase::Draining));
    let mut pause = PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            () = draining.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                pause = PAUSE;
                connection::spawn(stream, app.clone(), &shared);
            }
            // That client is gone; the next one is not.
            Err(error) if is_about_one_client(&error) => {}
            Err(error) => {
                tracing::error!(%listener, %error, ?pause, "cannot accept, trying again");
                tokio::select! {
                    biased;
                    () = draining.as_mut() => break,
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    if !listener.shared {
        accept_queued(&listener, &app, &shared);
    }
}

/// Clients that wait in the queue of a listener of our own would be reset by its end. Those of a
/// passed one are left to the next generation, or to systemd.
fn accept_queued<A: App>(listener: &Listener, app: &A, shared: &Arc<Shared>) {
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Ok(stream)) = pin!(listener.accept()).poll(&mut cx) {
        connection::spawn(stream, app.clone(), shared);
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
