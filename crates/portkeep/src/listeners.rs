//! Listeners of a server and its move socket, opened and closed together.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::accept::accept;
use crate::app::ErasedApp;
use crate::connection::Resumers;
use crate::drain::Shared;
use crate::listen::Listener;
use crate::moving::{self, Destination, MoveSocket};
use crate::{ShutdownToken, task};

/// Listeners that do not accept yet.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) sockets: Vec<Listener>,
    pub(crate) move_socket: Option<MoveSocket>,
    /// Handlers of WebSockets that come over the move socket.
    pub(crate) resumers: Resumers,
}

/// Listeners that accept connections.
pub(crate) struct OpenListeners {
    closing: ShutdownToken,
    resumers: Resumers,
    tasks: JoinSet<Closed>,
}

enum Closed {
    Listener(Option<Listener>),
    Move(MoveSocket),
}

impl Listeners {
    pub(crate) fn open(self, app: &ErasedApp, shared: &Arc<Shared>) -> OpenListeners {
        let closing = ShutdownToken::new();
        let mut tasks = JoinSet::new();
        if let Some(socket) = self.move_socket {
            let destinations = self.sockets.iter().map(|one| Destination {
                name: Arc::clone(&one.name),
                acceptor: one.acceptor.clone(),
            });
            let receiving = moving::receive(
                socket,
                destinations.collect(),
                app.clone(),
                self.resumers.clone(),
                Arc::clone(shared),
                closing.clone(),
            );
            tasks.spawn(task::boxed(async { Closed::Move(receiving.await) }));
        }
        for listener in self.sockets {
            let accepting = accept(listener, app.clone(), Arc::clone(shared), closing.clone());
            tasks.spawn(task::boxed(async { Closed::Listener(accepting.await) }));
        }
        OpenListeners {
            closing,
            resumers: self.resumers,
            tasks,
        }
    }

    /// Whether somebody else holds all of them, and opens them when this process is gone.
    pub(crate) fn are_held_elsewhere(&self) -> bool {
        self.sockets.iter().all(|listener| listener.shared)
    }
}

impl OpenListeners {
    /// After it returns, no client can arrive. Listeners that were bound here are closed.
    pub(crate) async fn close(self) -> Listeners {
        self.closing.start();
        let mut listeners = Listeners {
            sockets: Vec::new(),
            move_socket: None,
            resumers: self.resumers,
        };
        for closed in self.tasks.join_all().await {
            match closed {
                Closed::Listener(listener) => listeners.sockets.extend(listener),
                Closed::Move(socket) => listeners.move_socket = Some(socket),
            }
        }
        listeners
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use axum::Router;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::moving::departures;

    fn listeners() -> (Listeners, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listeners = Listeners {
            sockets: vec![Listener::of(listener, "http")],
            move_socket: None,
            resumers: Resumers::default(),
        };
        (listeners, address)
    }

    async fn live(shared: &Shared, connections: usize) {
        let arrived = async {
            while shared.live() != connections {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), arrived).await.unwrap();
    }

    /// A server that is about to end because it is idle notices clients of the last moment, and goes on serving.
    #[tokio::test]
    async fn who_comes_before_they_are_closed_is_noticed_and_they_open_again() {
        let shared = Arc::new(Shared::new(Duration::ZERO, departures().0));
        let (listeners, address) = listeners();
        let open = listeners.open(&ErasedApp::new(Router::new()), &shared);
        let quiet = shared.idle_for(Some(Duration::from_millis(10))).await;
        let first = TcpStream::connect(address).unwrap();
        live(&shared, 1).await;
        let listeners = open.close().await;
        assert!(!shared.is_still(quiet));

        let open = listeners.open(&ErasedApp::new(Router::new()), &shared);
        let second = TcpStream::connect(address).unwrap();
        live(&shared, 2).await;
        drop((first, second, open));
    }
}
