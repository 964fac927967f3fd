//! Connection in transit to the next generation, and the channel from its task to the sender.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::Secret;

/// Everything of a connection that outlives its process. The socket itself has the peer's address and the options.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) socket: OwnedFd,
    /// The name of its listener: only a server of that name may get it.
    pub(crate) listener: Arc<str>,
    /// Bytes that were read from the socket and not used.
    pub(crate) unread: Vec<u8>,
    pub(crate) speaks: Speaks,
    /// State of the transport.
    pub(crate) transport: Option<Secret>,
    /// Whether it had a request already.
    pub(crate) used: bool,
    /// How long it has been in its state, and its age.
    pub(crate) waited: Duration,
    pub(crate) age: Duration,
}

/// Protocol of a connection and its state.
#[derive(Debug)]
pub(crate) enum Speaks {
    /// Undecided until its first bytes.
    Unknown,
    /// It is between two requests.
    Http1,
    /// Without open streams. The state for the other process.
    Http2(Secret),
    /// The app's own. The state for the app's handler in the other process.
    WebSocket(Secret),
}

/// A connection that is to move, with the channel for the outcome.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(super) transfer: Transfer,
    /// Nothing if the next generation has it now, else the transfer.
    pub(super) outcome: oneshot::Sender<Option<Transfer>>,
}

/// Channel for connections that are to move.
#[derive(Debug)]
pub(crate) struct Departures(mpsc::UnboundedSender<Departure>);

/// The other end of [`Departures`].
pub(crate) type Inbox = mpsc::UnboundedReceiver<Departure>;

pub(crate) fn departures() -> (Departures, Inbox) {
    let (sender, inbox) = mpsc::unbounded_channel();
    (Departures(sender), inbox)
}

impl Departures {
    /// `None` if it was moved; otherwise it is returned and has to end here.
    pub(crate) async fn depart(&self, transfer: Transfer) -> Option<Transfer> {
        let (outcome, moved) = oneshot::channel();
        match self.0.send(Departure { transfer, outcome }) {
            Ok(()) => moved.await.ok().flatten(),
            // There is no sender any more.
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
        drop(self.transfer);
        // If its task is gone, it was cut, and could do nothing.
        let _ = self.outcome.send(None);
    }

    /// It stays with this process.
    pub(super) fn stays(self) {
        let _ = self.outcome.send(Some(self.transfer));
    }
}
