//! Events for the state machine.

use crate::backend::Blame;
use crate::generation::{Generation, Running};
use crate::release::Digest;

/// The state at the beginning, under the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The generation that `current` names, with its release.
    pub current: Option<(Generation, Option<Digest>)>,
    /// Whether somebody wants maintenance: then only its page may start.
    pub in_maintenance: bool,
    /// Whether a holding page can answer if no release can serve.
    pub has_holding_page: bool,
    /// The generations that are alive, by the manager.
    pub running: Vec<Running>,
    /// The number that the next generation gets.
    pub next: Generation,
}

/// Facts about a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its digest.
    pub digest: Digest,
    /// Why it failed, if it did and was not READY since.
    pub bad: Option<String>,
    /// A handover of it failed while this one waited for the lock, with this reason.
    pub failed_while_waiting: Option<String>,
    /// The newest other release that was READY once and is not bad.
    pub fallback: Option<Digest>,
    /// Whether its release command has not succeeded yet, and has to run first.
    pub has_release_command: bool,
}

/// An event.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The lock is held.
    Begun,
    /// Answer to [`Action::Survey`](super::Action::Survey).
    Surveyed(Survey),
    /// Answer to [`Action::Capture`](super::Action::Capture).
    Captured(Candidate),
    /// Answer to [`Action::Capture`](super::Action::Capture): there is no release.
    Refused {
        /// The reason.
        reason: String,
        /// The newest release that was READY once and is not bad.
        fallback: Option<Digest>,
    },
    /// Answer to [`Action::Release`](super::Action::Release): the release command has succeeded.
    Released,
    /// The generation said READY.
    Ready,
    /// The release command failed, or the generation did not become READY, or could not be made current.
    Failed {
        /// The reason.
        reason: String,
        /// Whether the release is to blame.
        blame: Blame,
    },
    /// Answer to [`Action::Abandon`](super::Action::Abandon).
    Abandoned,
    /// Answer to [`Action::Switch`](super::Action::Switch).
    Switched {
        /// Whether the generation was still alive then.
        serves: bool,
    },
    /// Answer to [`Action::SwitchBack`](super::Action::SwitchBack).
    SwitchedBack,
    /// Answer to [`Action::Drain`](super::Action::Drain).
    DrainAsked,
}
