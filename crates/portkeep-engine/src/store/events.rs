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
    /// A generation ended by itself, with a failure.
    Crash(CrashRecord),
    /// A replaced generation has ended.
    Drained(DrainedRecord),
    /// The app was taken out of its load balancers.
    #[serde(rename = "taken-out")]
    TakenOut(TakenOutRecord),
    /// A person has put it back.
    #[serde(rename = "put-back")]
    PutBack(PutBackRecord),
}

impl HistoryEvent {
    /// The generation of the event: for a handover, the one that was started; if an app was taken out or put back, the one
    /// that was current.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        match self {
            Self::Handover(record) => record.generation,
            Self::Crash(record) => Some(record.generation),
            Self::Drained(record) => Some(record.generation),
            Self::TakenOut(record) => record.generation,
            Self::PutBack(record) => record.generation,
        }
    }

    /// The time of the event.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Handover(record) => record.at,
            Self::Crash(record) => record.at,
            Self::Drained(record) => record.at,
            Self::TakenOut(record) => record.at,
            Self::PutBack(record) => record.at,
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
    /// The release command, if it ran.
    #[serde(default)]
    pub release_milliseconds: f64,
    /// From the start of the generation to READY, or to its failure.
    pub start_milliseconds: f64,
    /// The whole handover.
    pub total_milliseconds: f64,
}

/// Result of a handover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HandoverResult {
    /// The requested release serves.
    HandedOver,
    /// The last good release serves instead.
    FellBack,
    /// Nothing could serve: the holding page answers.
    Holding,
    /// The maintenance page answers, because a person asked for it.
    Maintenance,
    /// No generation became READY. The current one serves on.
    Failed,
    /// No release could be captured. The current generation serves on.
    Refused,
}

impl HandoverResult {
    /// Its word in the history.
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

    /// Whether a release of the app serves after it.
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
    /// Its identity: by it, a caller finds its own handover.
    #[serde(default)]
    pub id: HandoverId,
    /// Its purpose.
    pub purpose: Purpose,
    /// Its result.
    pub result: HandoverResult,
    /// The generation that was started.
    pub generation: Option<Generation>,
    /// The generation that was current before.
    pub previous: Option<Generation>,
    /// The release.
    pub digest: Option<Digest>,
    /// The label of the release.
    #[serde(default)]
    pub label: Option<Label>,
    /// The executable that it was captured from.
    pub source: Option<PathBuf>,
    /// The generations that were told to drain.
    pub drained: Vec<Generation>,
    /// How long it took.
    pub steps: Steps,
    /// Why it failed.
    pub reason: Option<String>,
}

impl HandoverRecord {
    /// Why it failed, in one line, without the last lines of the app.
    #[must_use]
    pub fn first_clause(&self) -> Option<&str> {
        self.reason.as_deref().map(StartFailure::first_clause)
    }
}

/// A generation ended by itself, with a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CrashRecord {
    /// The time.
    pub at: Timestamp,
    /// The generation.
    pub generation: Generation,
    /// Its release.
    pub digest: Option<Digest>,
    /// The label of the release.
    #[serde(default)]
    pub label: Option<Label>,
    /// How it ended.
    pub reason: String,
    /// Number of such ends within the spec's `restart.within`.
    pub crashes: u32,
    /// The decision: `restart`, `give-up` (too many crashes: the last good release, or the holding page) or `abandon`
    /// (nobody needs the generation).
    pub decision: Decision,
    /// The pause before the restart, in milliseconds.
    pub pause_milliseconds: Option<u64>,
    /// Its last status.
    #[serde(default)]
    pub status: String,
    /// The manager's name for the run that ended.
    #[serde(default)]
    pub invocation: Option<String>,
}

/// Decision after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Decision {
    /// Start the same release again.
    Restart,
    /// Too many crashes: the last good release replaces it, or the holding page.
    GiveUp,
    /// Nobody needs the generation.
    Abandon,
}

/// A replaced generation has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainedRecord {
    /// The time.
    pub at: Timestamp,
    /// The generation.
    pub generation: Generation,
    /// Its release.
    pub digest: Option<Digest>,
    /// The label of the release.
    #[serde(default)]
    pub label: Option<Label>,
    /// Its last status: what it finished, moved and cut.
    pub status: String,
    /// How it ended: `it exited with status 0`.
    pub reason: String,
    /// The manager's name for the run that ended.
    #[serde(default)]
    pub invocation: Option<String>,
}

/// The app was taken out of its load balancers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TakenOutRecord {
    /// The beginning.
    pub at: Timestamp,
    /// The reason.
    pub cause: TakenOutReason,
    /// How long load balancers are told before connections end.
    pub grace_milliseconds: u64,
    /// The generation that was current.
    pub generation: Option<Generation>,
    /// Its release.
    pub digest: Option<Digest>,
    /// The label of the release.
    pub label: Option<Label>,
}

/// Why an app was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TakenOutReason {
    /// A person asked for it: it lasts until a person ends it.
    Asked,
    /// The machine shuts down: it ends with the boot.
    Shutdown,
}

/// A person has put an app back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutBackRecord {
    /// The time.
    pub at: Timestamp,
    /// Since when it had been taken out.
    pub since: Timestamp,
    /// The generation that was current.
    pub generation: Option<Generation>,
    /// Its release.
    pub digest: Option<Digest>,
    /// The label of the release.
    pub label: Option<Label>,
}
