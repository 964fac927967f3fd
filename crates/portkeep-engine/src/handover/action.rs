//! Actions of the state machine.

use std::time::Instant;

use crate::backend::Blame;
use crate::generation::Generation;
use crate::release::Digest;

/// The release of a new generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The captured one.
    Captured,
    /// The last good one.
    LastGood,
    /// None of the app's: portkeep itself, as the holding page.
    HoldingPage,
    /// The same, as the maintenance page.
    Maintenance,
}

/// The next thing to do. One event answers each action.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Action {
    /// Look at the running generations and at `current`.
    Survey,
    /// Capture the release that the spec describes.
    Capture,
    /// Run the release command of the captured release for the generation to be started, and wait for its end.
    Release(Generation),
    /// Start a generation and wait for READY, at most until the deadline.
    Start {
        /// Its number.
        generation: Generation,
        /// Where its release comes from.
        source: Source,
        /// Its release.
        digest: Digest,
        /// When to give up, if the manager does not.
        deadline: Instant,
    },
    /// End a failed generation, and mark its release as bad if that is to blame.
    Abandon {
        /// The generation.
        generation: Generation,
        /// Its release.
        digest: Digest,
        /// Why it failed.
        reason: String,
        /// Whether the release is to blame.
        blame: Blame,
    },
    /// Make a generation current that just became READY.
    Switch(Generation),
    /// Make the earlier generation current again.
    SwitchBack(Generation),
    /// Ask these to finish their requests.
    Drain(Vec<Generation>),
    /// The handover is over.
    Finish(Ending),
}

/// The end of a handover.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// A new generation is current.
    HandedOver {
        /// The new one.
        generation: Generation,
        /// The release that it runs.
        source: Source,
        /// Why the requested release does not run, if `source` is another one.
        instead: Option<String>,
    },
    /// The release is current already.
    Unchanged(Generation),
    /// The release is known to be bad, and nobody requested another try.
    KnownBad(Digest),
    /// Nothing is started during maintenance.
    InMaintenance,
    /// There is no release to start; running generations are untouched.
    Refused(String),
    /// No generation became READY; running ones are untouched.
    Failed {
        /// The last one tried; none for the shared failure of another handover.
        generation: Option<Generation>,
        /// The reason.
        reason: String,
    },
}
