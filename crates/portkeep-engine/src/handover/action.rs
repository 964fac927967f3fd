//! Actions that the machine asks for.

use std::time::Instant;

use crate::backend::Blame;
use crate::generation::Generation;
use crate::release::Digest;

/// Which release a generation is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The one that was captured.
    Captured,
    /// The last good one.
    LastGood,
    /// None of the app's: portkeep itself, which answers that nothing can serve now.
    HoldingPage,
    /// The same page, which answers that there is maintenance.
    Maintenance,
}

/// What is to be done next. Each is answered by one event.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Action {
    /// Look at what runs and at `current`.
    Survey,
    /// Capture the release that the spec describes.
    Capture,
    /// Run the release command of the captured release, for the generation that is to be started, and wait for its end.
    Release(Generation),
    /// Start a generation and wait for READY, at most until the deadline.
    Start {
        /// Its number.
        generation: Generation,
        /// Where its release comes from.
        source: Source,
        /// Its release.
        digest: Digest,
        /// When to give up, should the manager not do so itself.
        deadline: Instant,
    },
    /// End a generation that failed, and remember its release as bad where that is to blame.
    Abandon {
        /// Which one.
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
    /// Make the generation current again that was so before.
    SwitchBack(Generation),
    /// Ask these to finish what they have.
    Drain(Vec<Generation>),
    /// Over.
    Finish(Ending),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// A new generation is current.
    HandedOver {
        /// The new one.
        generation: Generation,
        /// What it runs.
        source: Source,
        /// Why the release that was asked for does not run, where `source` is another one.
        instead: Option<String>,
    },
    /// The release is current already.
    Unchanged(Generation),
    /// The release is known to be bad and nobody asked for another try.
    KnownBad(Digest),
    /// Nothing is started as long as somebody wants maintenance.
    InMaintenance,
    /// No release to start; what runs is untouched.
    Refused(String),
    /// No generation became READY; what runs is untouched.
    Failed {
        /// The last one tried; none where another handover's failure is shared.
        generation: Option<Generation>,
        /// Why.
        reason: String,
    },
}
