//! Everything through which connections come, opened and closed together.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::accept::accept;
use crate::app::ErasedApp;
use crate::connection::Resumers;
use crate::drain::Shared;
use crate::listen::Listener;
use crate::moving::{self, Destination, MoveSocket};
use crate::{ShutdownToken, task};

/// What is not open, and can be.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) move_socket: Option<MoveSocket>,
    /// Who goes on with WebSockets that come over it.
    pub(crate) resumers: Resumers,
}

/// What is open.
pub(crate) struct Open {
    closing: ShutdownToken,
    resumers: Resumers,
    tasks: JoinSet<Door>,
}

enum Door {
    Listener(Option<Listener>),
    Move(MoveSocket),
}

impl Doors {
    pub(crate) fn open(self, app: &ErasedApp, shared: &Arc<Shared>) -> Open {
        let closing = ShutdownToken::new();
        let mut tasks = JoinSet::new();
        if let Some(socket) = self.move_socket {
            let destinations = self.listeners.iter().map(|one| Destination {
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
            tasks.spawn(task::boxed(async { Door::Move(receiving.await) }));
        }
        for listener in self.listeners {
            let accepting = accept(listener, app.clone(), Arc::clone(shared), closing.clone());
            tasks.spawn(task::boxed(async { Door::Listener(accepting.await) }));
        }
        Open {
            closing,
            resumers: self.resumers,
            tasks,
        }
    }

    /// Whether somebody else holds all of them, and opens them when this process is gone.
    pub(crate) fn are_held_elsewhere(&self) -> bool {
        self.listeners.iter().all(|listener| listener.shared)
    }
}

impl Open {
    /// When it returns, nobody else can arrive. Listeners that were bound here are gone.
    pub(crate) async fn close(self) -> Doors {
        self.closing.start();
        let mut doors = Doors {
            listeners: Vec::new(),
            move_socket: None,
            resumers: self.resumers,
        };
        for door in self.tasks.join_all().await {
            match door {
                Door::Listener(listener) => doors.listeners.extend(listener),
                Door::Move(socket) => doors.move_socket = Some(socket),
            }
        }
        doors
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

    fn doors() -> (Doors, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let doors = Doors {
            listeners: vec![Listener::of(listener, "http")],
            move_socket: None,
            resumers: Resumers::default(),
        };
        (doors, address)
    }

    async fn live(shared: &Shared, connections: usize) {
        let arrived = async {
            while shared.live() != connections {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), arrived).await.unwrap();
    }

    /// A server that is about to end because it is idle sees who came in the last moment, and can
    /// go on serving.
    #[tokio::test]
    async fn who_comes_before_they_are_closed_is_noticed_and_they_open_again() {
        let shared = Arc::new(Shared::new(Duration::ZERO, departures().0));
        let (doors, address) = doors();
        let open = doors.open(&ErasedApp::new(Router::new()), &shared);
        let quiet = shared.idle_for(Some(Duration::from_millis(10))).await;
        let first = TcpStream::connect(address).unwrap();
        live(&shared, 1).await;
        let doors = open.close().await;
        assert!(!shared.is_still(quiet));

        let open = doors.open(&ErasedApp::new(Router::new()), &shared);
        let second = TcpStream::connect(address).unwrap();
        live(&shared, 2).await;
        drop((first, second, open));
    }
}
