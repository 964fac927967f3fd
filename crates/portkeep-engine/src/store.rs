//! The files of one app: what must outlive a helper and cannot be asked from the manager.
//!
//! ```text
//! RUN/lock                      flock: one handover at a time
//! RUN/spec                      symbolic link to the spec that the units were rendered from
//! RUN/environment.json          base environment of every release (0600; `portkeep dev` writes it)
//! RUN/current -> generations/N  the generation that accepts connections; switched by rename
//! RUN/generations/N/NAME        symbolic link to the release's executable
//! RUN/generations/N/environment environment and arguments as systemd reads them (0600)
//! RUN/generations/N/release     the digest of its release; that of a holding page is here whole
//! RUN/generations/N/ends.jsonl  how its processes ended, a line each
//! RUN/holding/environment       what `portkeep dev` tells the pages of a holding page (0600)
//! RUN/generations/N/pid         its process, with the local backend
//! RUN/attempt.json              the last handover that failed (0600)
//! RUN/bad-DIGEST                as `bad` below, where that could not be written
//! RUN/seen.json                 the files that the last handover looked at
//! RUN/dev.lock, RUN/control     of a running `portkeep dev`
//! STATE/releases/DIGEST/        release.json, environment.json (0600), the copied executable, `bad` with a reason (0600)
//! STATE/good.json               the releases that were READY, newest first
//! STATE/history.jsonl           one line an event: handovers, crashes, ends of drains (0600)
//! STATE/last-generation         the highest number given away
//! ```

mod attempt;
mod ends;
mod events;
mod gc_roots;
mod generations;
mod good;
mod history;
mod lock;
mod releases;
mod rollback;
mod seen;
mod sweep;
mod write;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use portkeep_spec::AppName;

pub use attempt::FailedAttempt;
pub use ends::Settled;
pub use events::{
    CrashRecord, Decision, DrainedRecord, HandoverRecord, HandoverResult, HistoryEvent, Steps,
};
pub use lock::Lock;
pub use rollback::RollbackError;
pub use write::{atomic_symlink, atomic_write};

use crate::directories::Directories;

/// The files of one app.
#[derive(Debug, Clone)]
pub struct Store {
    name: AppName,
    run: PathBuf,
    state: PathBuf,
}

impl Store {
    /// A store to look into. Its directories need not exist.
    #[must_use]
    pub fn at(name: &AppName, directories: &Directories) -> Self {
        Self {
            name: name.clone(),
            run: directories.run.clone(),
            state: directories.state.clone(),
        }
    }

    /// Opens the store to work with, making its directories.
    ///
    /// Without the directory of the releases no release can be taken, but one that crashed can be started again, and a
    /// holding page shown: that it cannot be made is only logged.
    ///
    /// # Errors
    /// When a directory cannot be made, or belongs to somebody else.
    pub fn open(name: &AppName, directories: &Directories) -> io::Result<Self> {
        let store = Self::at(name, directories);
        let make = |directory: &Path| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(directory)
        };
        make(&store.generations_directory())?;
        own(&store.run)?;
        let releases = store.releases_directory();
        if let Err(error) = make(&releases) {
            tracing::warn!("cannot make {}: {error}", releases.display());
        }
        if store.state.exists() {
            own(&store.state)?;
        }
        Ok(store)
    }

    /// The app.
    #[must_use]
    pub fn name(&self) -> &AppName {
        &self.name
    }

    /// The directory that lives with the boot.
    #[must_use]
    pub fn run_directory(&self) -> &Path {
        &self.run
    }

    /// The directory that lives on.
    #[must_use]
    pub fn state_directory(&self) -> &Path {
        &self.state
    }
}

/// A directory below /tmp could have been made by anybody; what we run from it must be ours.
fn own(directory: &Path) -> io::Result<()> {
    let owner = fs::metadata(directory)?.uid();
    let me = rustix::process::geteuid().as_raw();
    if owner == me || me == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{} belongs to user {owner}, not to {me}",
            directory.display()
        ),
    ))
}
