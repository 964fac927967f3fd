//! The events of the history: the shape of `portkeep history --json`.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::generation::Generation;
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

/// How long each step took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Steps {
    /// Waiting for another handover.
    pub lock_milliseconds: f64,
    /// Resolving, copying and digesting the executable.
    pub take_milliseconds: f64,
    /// From the start of the generation to READY, or to its failure.
    pub start_milliseconds: f64,
    /// All of it.
    pub total_milliseconds: f64,
}

/// One handover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandoverRecord {
    /// When it ended.
    pub at: Timestamp,
    /// What asked for it: `activate`, `reload`, `deploy`, `rollback` or `retry`.
    pub purpose: String,
    /// `handed-over`, `fell-back` (to the last good release), `holding` (nothing could serve, a page says so), `failed`
    /// or `refused`.
    pub result: String,
    /// The generation that was started.
    pub generation: Option<Generation>,
    /// The generation that was current before.
    pub previous: Option<Generation>,
    /// The release.
    pub digest: Option<Digest>,
    /// The executable it was taken from.
    pub source: Option<PathBuf>,
    /// The generations that were told to drain.
    pub drained: Vec<Generation>,
    /// How long it took.
    pub steps: Steps,
    /// Why it failed.
    pub reason: Option<String>,
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
    /// How it ended.
    pub reason: String,
    /// How often it ended so within the spec's `restart.within`.
    pub crashes: u32,
    /// What was made of it: `restart`, `give-up` (too often: the last good release, or the holding page) or `abandon`
    /// (nobody needs it).
    pub decision: Decision,
    /// The pause before the restart, in milliseconds.
    pub pause_milliseconds: Option<u64>,
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
    /// What it said last of itself: what it finished, moved and cut.
    pub status: String,
    /// How it ended: `it exited with status 0`.
    pub reason: String,
}
