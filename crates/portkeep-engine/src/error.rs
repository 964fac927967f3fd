//! Errors of a handover, split by what the caller does next.

use std::io;

use portkeep_spec::AppName;

use crate::backend::BackendError;
use crate::generation::Generation;
use crate::handover::UnexpectedEvent;
use crate::maintenance::Maintenance;
use crate::store::LockError;

/// A handover that did not happen. What served before serves on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// There was nothing to start: correct the spec or build the app.
    #[error("nothing was started: {0}")]
    Refused(String),
    /// The new generation did not become READY: look at its log.
    #[error("{}{reason}", .generation.map(|generation| format!("generation {generation} did not become READY: ")).unwrap_or_default())]
    StartFailed {
        /// Which one; none where another handover's failure is shared.
        generation: Option<Generation>,
        /// Why, with the last lines it wrote.
        reason: String,
    },
    /// A person wants maintenance.
    #[error(
        "nothing was started, because {name} is in maintenance {maintenance}; `portkeep maintenance {name} off` ends it"
    )]
    InMaintenance {
        /// The app.
        name: AppName,
        /// Since when, and what its page says.
        maintenance: Maintenance,
    },
    /// A job of the handle is under way: what is to be done is to be looked at again after it.
    #[error("the app's handle has a job under way; it is looked at again in a moment")]
    Busy,
    /// Whoever hands over is ending.
    #[error("nothing was started: `portkeep dev` is ending")]
    Closed,
    /// The manager could not be asked.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Somebody else has the lock, and does not give it back.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file could not be read or written.
    #[error("cannot {doing}")]
    Store {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A fault in this program.
    #[error(transparent)]
    UnexpectedEvent(#[from] UnexpectedEvent),
}
