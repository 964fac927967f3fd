//! What generations did before they ended in good order.

use std::io;

use super::{DrainedRecord, End, HistoryEvent, Store};
use crate::generation::Generation;

impl End {
    /// Whether somebody that was READY ended so because it was asked to, or because nobody asked it anything.
    #[must_use]
    pub fn is_drain(&self) -> bool {
        // It was killed at its deadline, which is no crash of its own.
        !self.is_crash() || self.result == "timeout"
    }
}

/// How the reason of a drain begins that was ended at its deadline.
const CUT: &str = "it did not finish in time";

impl DrainedRecord {
    /// Whether it was ended at its deadline, with something unfinished.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.reason.starts_with(CUT)
    }
}

impl Store {
    /// Adds the end of a drain to the history. `status` is what the generation said last of itself: an app on the server
    /// library says what it answered, moved and cut.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_drained(&self, generation: Generation, end: &End, status: &str) -> io::Result<()> {
        let reason = match end.result.as_str() {
            "timeout" => format!("{CUT} and was ended"),
            _ => end.describe(),
        };
        self.note_event(&HistoryEvent::Drained(DrainedRecord {
            at: end.at,
            generation,
            digest: self.release_of(generation).map(|release| release.digest),
            status: status.to_owned(),
            reason,
        }))
    }
}
