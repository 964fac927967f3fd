//! Everything through which connections come, opened and closed together.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::ShutdownToken;
use crate::accept::accept;
use crate::app::App;
use crate::drain::Shared;
use crate::listen::Listener;
use crate::moving::{self, MoveSocket};

/// What is not open, and can be.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) move_socket: Option<MoveSocket>,
}

/// What is open.
pub(crate) struct Open {
    closing: ShutdownToken,
    tasks: JoinSet<Door>,
}

enum Door {
    Listener(Option<Listener>),
    Move(MoveSocket),
}

impl Doors {
    pub(crate) fn open<A: App>(self, app: &A, shared: &Arc<Shared>) -> Open {
        let closing = ShutdownToken::new();
        let mut tasks = JoinSet::new();
        if let Some(socket) = self.move_socket {
            let names = self.listeners.iter().map(|one| Arc::clone(&one.name));
            let receiving = moving::receive(
                socket,
                names.collect(),
                app.clone(),
                Arc::clone(shared),
                closing.clone(),
            );
            tasks.spawn(async { Door::Move(receiving.await) });
        }
        for listener in self.listeners {
            let accepting = accept(listener, app.clone(), Arc::clone(shared), closing.clone());
            tasks.spawn(async { Door::Listener(accepting.await) });
        }
        Open { closing, tasks }
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
