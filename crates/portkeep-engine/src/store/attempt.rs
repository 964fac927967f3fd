//! Last failed handover. Callers that waited for it share its result instead of trying the same again.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::{Store, atomic_write, write::PRIVATE};
use crate::moment::Moment;
use crate::release::Digest;

/// A failed handover.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Its release.
    pub digest: Digest,
    /// When it failed.
    pub at: Moment,
    /// The reason.
    pub reason: String,
}

impl Store {
    pub(crate) fn note_failed_attempt(&self, attempt: &FailedAttempt) -> io::Result<()> {
        atomic_write(
            &self.run.join("attempt.json"),
            &serde_json::to_vec(attempt)?,
            PRIVATE,
        )
    }

    /// Whether one failed since the boot, for users who may not read it.
    pub(crate) fn has_failed_attempt(&self) -> bool {
        self.run.join("attempt.json").exists()
    }

    pub(crate) fn failed_attempt(&self) -> Option<FailedAttempt> {
        serde_json::from_slice(&fs::read(self.run.join("attempt.json")).ok()?).ok()
    }
}
