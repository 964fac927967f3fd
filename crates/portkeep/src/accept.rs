//! Accepts connections until the server drains.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::ShutdownToken;
use crate::app::ErasedApp;
use crate::connection::{self, Arrival};
use crate::drain::Shared;
use crate::listen::Listener;

/// The first pause after an error that lasts, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, while the error lasts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The shortest time between warnings about too many connections.
const WARNINGS: Duration = Duration::from_secs(10);

/// Returns when the server closes, with a passed listener, which can be opened again.
pub(crate) async fn accept(
    listener: Listener,
    app: ErasedApp,
    shared: Arc<Shared>,
    closing: ShutdownToken,
) -> Option<Listener> {
    let mut closed = pin!(closing.started());
    let mut pause = PAUSE;
    let mut full = Full::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = closed.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                pause = PAUSE;
                let arrival = Arrival::accepted(stream, &listener, &shared);
                connection::spawn(arrival, app.clone(), &shared);
                if shared.is_crowded() {
                    tokio::select! {
                        biased;
                        () = closed.as_mut() => break,
                        () = shared.room(|| full.tell(&shared)) => {}
                    }
                }
            }
            // This client is gone; the next is not.
            Err(error) if is_about_one_client(&error) => {}
            Err(error) => {
                tracing::error!(%listener, %error, ?pause, "cannot accept, trying again");
                tokio::select! {
                    biased;
                    () = closed.as_mut() => break,
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    // Clients in the queue of our own listener would be reset by its end. Those of a passed one are left to the next
    // generation, or to systemd.
    if listener.shared {
        return Some(listener);
    }
    for stream in listener.queued() {
        let arrival = Arrival::accepted(stream, &listener, &shared);
        connection::spawn(arrival, app.clone(), &shared);
    }
    None
}

/// Warns at intervals that nobody is accepted.
#[derive(Default)]
struct Full(Option<Instant>);

impl Full {
    fn tell(&mut self, shared: &Shared) {
        if self.0.is_none_or(|told| told.elapsed() >= WARNINGS) {
            self.0 = Some(Instant::now());
            let connections = shared.live();
            tracing::warn!(
                connections,
                "as many connections as may be are busy: new ones wait in the queue until one ends"
            );
        }
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::net::TcpStream;
    use std::task::{Context, Poll};

    use http::{Request, Response};
    use hyper::body::Incoming;

    use crate::moving::departures;

    #[derive(Clone)]
    struct Silence;

    impl tower_service::Service<Request<Incoming>> for Silence {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Incoming>) -> Self::Future {
            ready(Ok(Response::new(String::new())))
        }
    }

    /// Connections of `clients` that a drain finds, which began before any was accepted.
    async fn accepted_by_a_drain(clients: usize, shared_listener: bool) -> usize {
        let address = "127.0.0.1:0".parse().unwrap();
        let mut listener = Listener::bind(address, false).await.unwrap();
        listener.shared = shared_listener;
        let address = listener.to_string();
        let clients: Vec<_> = (0..clients)
            .map(|_| TcpStream::connect(&address).unwrap())
            .collect();
        let shared = Arc::new(Shared::new(Duration::ZERO, departures().0));
        let closing = ShutdownToken::new();
        closing.start();
        accept(
            listener,
            ErasedApp::new(Silence),
            Arc::clone(&shared),
            closing,
        )
        .await;
        let live = shared.live();
        drop(clients);
        live
    }

    #[tokio::test]
    async fn the_queue_of_an_own_listener_is_accepted() {
        assert_eq!(accepted_by_a_drain(20, false).await, 20);
    }

    #[tokio::test]
    async fn the_queue_of_a_passed_listener_is_left_to_the_next() {
        assert_eq!(accepted_by_a_drain(20, true).await, 0);
    }
}
