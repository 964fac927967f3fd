//! One line a handover.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Store, atomic_write};
use crate::generation::Generation;
use crate::release::Digest;

/// Lines kept; the oldest go first.
const KEPT: usize = 1000;

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

/// One handover, as `portkeep history --json` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandoverRecord {
    /// When it ended.
    pub at: Timestamp,
    /// What asked for it: `activate`, `reload` or `deploy`.
    pub purpose: String,
    /// `handed-over`, `fell-back` (to the last good release), `failed` or `refused`.
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

impl Store {
    fn history_path(&self) -> PathBuf {
        self.state.join("history.jsonl")
    }

    pub(crate) fn record(&self, record: &HandoverRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        // A reason may hold lines of the app's log, which the journal does not show to everybody either.
        File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.history_path())?
            .write_all(&line)?;
        self.trim_history()
    }

    /// Runs under the lock, so no line of another handover is lost.
    fn trim_history(&self) -> io::Result<()> {
        let text = fs::read_to_string(self.history_path())?;
        let lines = text.lines().count();
        // Twice the limit before it is cut, so that not every handover rewrites the file.
        if lines <= 2 * KEPT {
            return Ok(());
        }
        let kept: String = text
            .lines()
            .skip(lines - KEPT)
            .flat_map(|line| [line, "\n"])
            .collect();
        atomic_write(&self.history_path(), kept.as_bytes(), 0o600)
    }

    /// All handovers that are kept, oldest first.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn history(&self) -> io::Result<Vec<HandoverRecord>> {
        match fs::read_to_string(self.history_path()) {
            Ok(text) => Ok(text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
