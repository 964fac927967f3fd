//! Errors of serving.

use std::fmt;
use std::io;

use crate::ListenError;
use crate::sentences::in_sentences;

/// Any error, as tower and hyper pass them on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        in_sentences(self, f)
    }
}

/// Why [`serve`](crate::serve) could not serve. Each of these happens before the first
/// connection is accepted; the generation that serves goes on undisturbed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A socket is not available.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An invalid limit of [`Server::limits`](crate::Server::limits).
    #[error("the limit `{what}` cannot be: {why}")]
    #[non_exhaustive]
    Limit {
        /// The name of its setter.
        what: &'static str,
        /// The problem, and what to write instead.
        why: &'static str,
    },
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
