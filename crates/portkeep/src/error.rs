//! Why serving ended before it was asked to.

use std::io;

use crate::ListenError;

/// Any error, as tower and hyper pass them on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why [`serve`](crate::serve) could not serve. Each of these happens before the first
/// connection is accepted; the generation that serves goes on undisturbed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A socket could not be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A check given to [`Server::ready_when`](crate::Server::ready_when) failed.
    #[error("not ready: a check of the app failed")]
    NotReady(#[source] BoxError),
    /// The service manager could not be told that this process is ready.
    #[error("READY=1 could not be sent to the service manager; is NOTIFY_SOCKET right?")]
    Notify(#[source] io::Error),
    /// SIGTERM and SIGINT could not be watched.
    #[error("SIGTERM and SIGINT cannot be watched; serve needs a tokio runtime with I/O enabled")]
    Signals(#[source] io::Error),
}
