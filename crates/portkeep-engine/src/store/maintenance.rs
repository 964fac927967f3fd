//! File that records maintenance.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Store, atomic_write};
use crate::maintenance::Maintenance;

/// The page runs as another user, and shows its text to everybody.
const READABLE: u32 = 0o644;

impl Store {
    /// The file that exists during maintenance.
    #[must_use]
    pub fn maintenance_path(&self) -> PathBuf {
        self.state.join("maintenance.json")
    }

    /// The present maintenance, if there is any.
    #[must_use]
    pub fn maintenance(&self) -> Option<Maintenance> {
        serde_json::from_slice(&fs::read(self.maintenance_path()).ok()?).ok()
    }

    pub(crate) fn write_maintenance(&self, maintenance: &Maintenance) -> io::Result<()> {
        self.ensure_state()?;
        let text = serde_json::to_vec(maintenance)?;
        atomic_write(&self.maintenance_path(), &text, READABLE)
    }

    pub(crate) fn remove_maintenance(&self) -> io::Result<()> {
        match fs::remove_file(self.maintenance_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
