//! State of the files at the last deploy, however it ended. The path unit's second look compares with it.

use std::fs;
use std::io;

use super::{Store, atomic_write, write::PRIVATE};
use crate::execute::Seen;

/// A file that exists as long as the manager watches secrets.
const WATCHES: &str = "watches-secrets";

impl Store {
    pub(crate) fn note_seen(&self, seen: &Seen) -> io::Result<()> {
        atomic_write(
            &self.run.join("seen.json"),
            &serde_json::to_vec(seen)?,
            PRIVATE,
        )
    }

    /// Records whether the manager watches secrets of this app.
    pub(crate) fn note_watches_secrets(&self, watches: bool) -> io::Result<()> {
        let file = self.run.join(WATCHES);
        match watches {
            true if file.exists() => Ok(()),
            true => atomic_write(&file, b"", PRIVATE),
            false => fs::remove_file(&file),
        }
    }

    /// Whether it does, by the record.
    pub(crate) fn watches_secrets(&self) -> bool {
        self.run.join(WATCHES).exists()
    }

    pub(crate) fn seen(&self) -> Option<Seen> {
        serde_json::from_slice(&fs::read(self.run.join("seen.json")).ok()?).ok()
    }
}
