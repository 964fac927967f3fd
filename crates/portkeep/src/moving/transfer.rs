//! Connection on its way to the next generation, and the channel from its task to the sender.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::turns::{Turn, Turns};
use crate::Secret;

/// Everything of a connection that outlives its process. Peer address and socket options are the
/// socket's own.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) socket: OwnedFd,
    /// The name of the listener that it came from: it may only go to a server of that name.
    pub(crate) listener: Arc<str>,
    /// Read from the socket and not used.
    pub(crate) unread: Vec<u8>,
    pub(crate) speaks: Speaks,
    /// Of the transport that stands before HTTP.
    pub(crate) transport: Option<Secret>,
    /// It had a request already.
    pub(crate) used: bool,
    /// For how long it has waited for what it waits for, and how old it is.
    pub(crate) waited: Duration,
    pub(crate) age: Duration,
}

/// What is known of a connection's protocol.
#[derive(Debug)]
pub(crate) enum Speaks {
    /// Its first bytes decide.
    Unknown,
    /// It is between two requests.
    Http1,
    /// It has no stream, and this is what the other side has to know of it.
    Http2(Secret),
    /// The app's own, and this is what the app and its handler in the other process know of it.
    WebSocket(Secret),
}

/// A connection that is to be moved, and where to say what came of it.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(super) transfer: Transfer,
    /// Until it is known what came of it.
    turn: Turn,
    /// Nothing if the next generation has it now, else the transfer.
    pub(super) outcome: oneshot::Sender<Option<Transfer>>,
}

/// Where connection tasks hand over what is to be moved.
#[derive(Debug)]
pub(crate) struct Departures {
    channel: mpsc::UnboundedSender<Departure>,
    turns: Turns,
}

/// The other end of [`Departures`].
pub(crate) type Inbox = mpsc::UnboundedReceiver<Departure>;

pub(crate) fn departures() -> (Departures, Inbox) {
    let (sender, inbox) = mpsc::unbounded_channel();
    let departures = Departures {
        channel: sender,
        turns: Turns::default(),
    };
    (departures, inbox)
}

impl Departures {
    /// Waits until another connection may be on its way. Where nobody moves anything any more, soon.
    pub(crate) fn turn(&self) -> impl Future<Output = Turn> + Send + 'static {
        self.turns.clone().next()
    }

    /// `None` if it was moved; else it is given back and has to end here.
    pub(crate) async fn depart(&self, transfer: Transfer, turn: Turn) -> Option<Transfer> {
        let (outcome, moved) = oneshot::channel();
        let departure = Departure {
            transfer,
            turn,
            outcome,
        };
        match self.channel.send(departure) {
            Ok(()) => moved.await.ok().flatten(),
            // Nobody sends any more.
            Err(mpsc::error::SendError(departure)) => Some(departure.transfer),
        }
    }
}

impl Departure {
    #[cfg(test)]
    pub(crate) fn transfer(&self) -> &Transfer {
        &self.transfer
    }

    /// The next generation has it. Closes this process's copy.
    pub(crate) fn arrived(self) {
        drop((self.transfer, self.turn));
        // A task that is gone was cut; there is nothing that it could do.
        let _ = self.outcome.send(None);
    }

    /// It stays with this process.
    pub(super) fn stays(self) {
        drop(self.turn);
        let _ = self.outcome.send(Some(self.transfer));
    }
}
