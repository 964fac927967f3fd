//! What the last deploy looked at: the path unit's re-check compares with it, whatever became of that deploy.

use std::fs;
use std::io;

use super::{Store, atomic_write, write::PRIVATE};
use crate::drive::Seen;

impl Store {
    pub(crate) fn note_seen(&self, seen: &Seen) -> io::Result<()> {
        atomic_write(
            &self.run.join("seen.json"),
            &serde_json::to_vec(seen)?,
            PRIVATE,
        )
    }

    pub(crate) fn seen(&self) -> Option<Seen> {
        serde_json::from_slice(&fs::read(self.run.join("seen.json")).ok()?).ok()
    }
}
