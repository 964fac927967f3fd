//! Errors of a handover, split by what the caller does next.

use std::io;

use portkeep_spec::AppName;

use crate::backend::BackendError;
use crate::generation::Generation;
use crate::handover::UnexpectedEvent;
use crate::maintenance::Maintenance;
use crate::store::LockError;

/// A handover that did not happen. The current generation serves on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No release could be captured: correct the spec or build the app.
    #[error("nothing was started: {0}")]
    Refused(String),
    /// The new generation did not become READY: look at its log.
    #[error("{}{reason}", .generation.map(|generation| format!("generation {generation} did not become READY: ")).unwrap_or_default())]
    StartFailed {
        /// Its number; none for the shared failure of another handover.
        generation: Option<Generation>,
        /// The reason, with the last lines of the generation.
        reason: String,
    },
    /// The app is in maintenance.
    #[error(
        "nothing was started, because {name} is in maintenance {maintenance}; `portkeep maintenance {name} off` ends it"
    )]
    InMaintenance {
        /// The app.
        name: AppName,
        /// Since when, and the text of its page.
        maintenance: Maintenance,
    },
    /// A job of the handle is under way. The caller looks again after it.
    #[error("the app's handle has a job under way; it is looked at again in a moment")]
    Busy,
    /// The caller is ending.
    #[error("nothing was started: `portkeep dev` is ending")]
    Closed,
    /// The manager did not answer.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Somebody else holds the lock beyond the deadline.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file could not be read or written.
    #[error("cannot {doing}")]
    Store {
        /// The operation.
        doing: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A bug of this program.
    #[error(transparent)]
    UnexpectedEvent(#[from] UnexpectedEvent),
}
