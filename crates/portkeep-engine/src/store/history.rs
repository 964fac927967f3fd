//! What happened to an app, one line an event.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::events::{HandoverRecord, HistoryEvent};
use super::{Store, atomic_write};

/// Lines kept; the oldest go first.
const KEPT: usize = 1000;

impl Store {
    fn history_path(&self) -> PathBuf {
        self.state.join("history.jsonl")
    }

    /// Adds a handover. Runs under the lock.
    pub(crate) fn record(&self, record: &HandoverRecord) -> io::Result<()> {
        self.note_event(&HistoryEvent::Handover(record.clone()))?;
        self.trim_history()
    }

    /// Adds an event. One write, so that lines of several writers do not mix.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_event(&self, event: &HistoryEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        // A reason may hold lines of the app's log, which the journal does not show to everybody either.
        File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.history_path())?
            .write_all(&line)
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

    /// All events that are kept, oldest first. Lines that cannot be read are passed over.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn events(&self) -> io::Result<Vec<HistoryEvent>> {
        match fs::read_to_string(self.history_path()) {
            Ok(text) => Ok(text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// All handovers that are kept, oldest first.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn history(&self) -> io::Result<Vec<HandoverRecord>> {
        let handovers = self.events()?.into_iter().filter_map(|event| match event {
            HistoryEvent::Handover(record) => Some(record),
            HistoryEvent::Crash(_) | HistoryEvent::Drained(_) => None,
        });
        Ok(handovers.collect())
    }
}
