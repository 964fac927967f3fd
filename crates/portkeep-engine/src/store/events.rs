//! Events of the history, in the shape of `portkeep history --json`.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use portkeep_spec::Label;
use serde::{Deserialize, Serialize};

use crate::backend::StartFailure;
use crate::generation::Generation;
use crate::handover::{HandoverId, Purpose};
use crate::release::Digest;

/// One event; the field `event` says which kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[non_exhaustive]
pub enum HistoryEvent {
    /// A handover ended.
    Handover(HandoverRecord),
    /// A generation ended by itself, and not well.
    Crash(CrashRecord),
    /// A generation that was replaced has ended.
    Drained(DrainedRecord),
}

impl HistoryEvent {
    /// The generation that it is of: of a handover, the one that was started.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        match self {
            Self::Handover(record) => record.generation,
            Self::Crash(record) => Some(record.generation),
            Self::Drained(record) => Some(record.generation),
        }
    }

    /// When it was.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Handover(record) => record.at,
            Self::Crash(record) => record.at,
            Self::Drained(record) => record.at,
        }
    }
}

/// How long each step took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Steps {
    /// Waiting for another handover.
    pub lock_milliseconds: f64,
    /// Resolving, copying and digesting the executable.
    pub take_milliseconds: f64,
    /// The release command, where it was run.
    #[serde(default)]
    pub release_milliseconds: f64,
    /// From the start of the generation to READY, or to its failure.
    pub start_milliseconds: f64,
    /// All of it.
    pub total_milliseconds: f64,
}

/// What came of a handover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HandoverResult {
    /// The release that was asked for serves.
    HandedOver,
    /// The last good release serves instead.
    FellBack,
    /// Nothing could serve, and a page says so.
    Holding,
    /// The page of maintenance answers, because somebody wants that.
    Maintenance,
    /// No generation became READY. What served before serves on.
    Failed,
    /// There was nothing to start. What served before serves on.
    Refused,
}

impl HandoverResult {
    /// The word in the history.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HandedOver => "handed-over",
            Self::FellBack => "fell-back",
            Self::Holding => "holding",
            Self::Maintenance => "maintenance",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }

    /// Whether a release of the app serves by it.
    #[must_use]
    pub fn serves(self) -> bool {
        matches!(self, Self::HandedOver | Self::FellBack)
    }
}

impl fmt::Display for HandoverResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One handover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandoverRecord {
    /// When it ended.
    pub at: Timestamp,
    /// Which handover it is: what asked for it finds its own by this.
    #[serde(default)]
    pub id: HandoverId,
    /// What asked for it.
    pub purpose: Purpose,
    /// What came of it.
    pub result: HandoverResult,
    /// The generation that was started.
    pub generation: Option<Generation>,
    /// The generation that was current before.
    pub previous: Option<Generation>,
    /// The release.
    pub digest: Option<Digest>,
    /// What people call it.
    #[serde(default)]
    pub label: Option<Label>,
    /// The executable it was taken from.
    pub source: Option<PathBuf>,
    /// The generations that were told to drain.
    pub drained: Vec<Generation>,
    /// How long it took.
    pub steps: Steps,
    /// Why it failed.
    pub reason: Option<String>,
}

impl HandoverRecord {
    /// Why it failed, in one line: without the last lines of the app.
    #[must_use]
    pub fn first_clause(&self) -> Option<&str> {
        self.reason.as_deref().map(StartFailure::first_clause)
    }
}

/// A generation ended by itself, and not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CrashRecord {
    /// When.
    pub at: Timestamp,
    /// Which one.
    pub generation: Generation,
    /// Its release.
    pub digest: Option<Digest>,
    /// What people call that.
    #[serde(default)]
    pub label: Option<Label>,
    /// How it ended.
    pub reason: String,
    /// How often it ended so within the spec's `restart.within`.
    pub crashes: u32,
    /// What was made of it: `restart`, `give-up` (too often: the last good release, or the holding page) or `abandon`
    /// (nobody needs it).
    pub decision: Decision,
    /// The pause before the restart, in milliseconds.
    pub pause_milliseconds: Option<u64>,
    /// What it said last of itself.
    #[serde(default)]
    pub status: String,
    /// What its manager calls the run that ended.
    #[serde(default)]
    pub invocation: Option<String>,
}

/// What was made of a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Decision {
    /// The same release is started again.
    Restart,
    /// Too often: the last good release takes its place, or the holding page.
    GiveUp,
    /// Nobody needs it.
    Abandon,
}

/// A generation that was replaced has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainedRecord {
    /// When.
    pub at: Timestamp,
    /// Which one.
    pub generation: Generation,
    /// Its release.
    pub digest: Option<Digest>,
    /// What people call that.
    #[serde(default)]
    pub label: Option<Label>,
    /// What it said last of itself: what it finished, moved and cut.
    pub status: String,
    /// How it ended: `it exited with status 0`.
    pub reason: String,
    /// What its manager calls the run that ended.
    #[serde(default)]
    pub invocation: Option<String>,
}
