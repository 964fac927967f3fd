//! Files of one app: what must outlive a helper and cannot be asked from the manager.
//!
//! Directories have mode 0711, so that the app can reach its executable and nobody can list them; files have 0600. A
//! release is closed (0700) while it is made, and when it is bad and does not run.
//!
//! ```text
//! RUN/lock                      flock: one handover at a time
//! RUN/spec                      symbolic link to the spec that the units were rendered from
//! RUN/environment.json          base environment of every release (`portkeep dev` writes it)
//! RUN/current -> generations/N  the generation that accepts connections; switched by rename
//! RUN/generations/N/NAME        symbolic link to the release's executable
//! RUN/generations/N/files       symbolic link to the files of its release
//! RUN/kept-files                where the files of all kept releases are, a line each (0644)
//! RUN/generations/N/environment environment and arguments as systemd reads them
//! RUN/generations/N/release     the digest of its release; that of a holding page is here whole
//! RUN/generations/N/release-command/   NAME and environment of its release command, in the same way
//! RUN/generations/N/ends.jsonl  how its processes ended, a line each
//! RUN/holding/environment       what `portkeep dev` tells the pages of a holding page (0600)
//! RUN/generations/N/pid         its process, with the local backend
//! RUN/attempt.json              the last handover that failed
//! RUN/bad-DIGEST                as `bad` below, where that could not be written
//! RUN/leaving                   the same while the machine shuts down (0644)
//! RUN/seen.json                 the files that the last handover looked at
//! RUN/watches-secrets           there as long as the manager watches secrets
//! RUN/dev.lock, RUN/control     of a running `portkeep dev`
//! STATE/releases/DIGEST/        release.json, environment.json, the copied executable (its source's mode), `bad` with a reason,
//!                               `released` once its release command has succeeded
//! STATE/releases/DIGEST/files/  what it brings along, with files.json; `replaced` is as old as the last handover from it
//! STATE/digest.key              what digests are keyed with, so that they tell nobody anything (RUN where STATE cannot be written)
//! STATE/maintenance.json        there as long as a person wants maintenance (0644: its page reads it)
//! STATE/drain                   there as long as a person wants the app taken out (0644: the app reads it)
//! STATE/good.json               the releases that were READY, newest first
//! STATE/history.jsonl           one line an event: handovers, crashes, ends of drains
//! STATE/history-totals.json     what those add up to whose lines were cut off
//! STATE/metrics.json            what generations said that have no end in the history, as `portkeep metrics` saw it last
//! STATE/last-generation         the highest number given away
//! ```

mod announce;
mod attempt;
mod ends;
mod events;
mod files;
mod gc_roots;
mod generations;
mod good_releases;
mod history;
mod key;
mod lock;
mod maintenance;
mod migrate;
mod release_commands;
mod releases;
mod repeats;
mod rollback;
mod seen;
mod sweep;
mod taken_out;
mod totals;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use portkeep_spec::{AppName, contract};

pub use attempt::FailedAttempt;
pub use ends::Settled;
pub use events::{
    CrashRecord, Decision, DrainedRecord, HandoverRecord, HandoverResult, HistoryEvent,
    PutBackRecord, Steps, TakenOutReason, TakenOutRecord,
};
pub use history::Follower;
pub(crate) use key::Key;
pub use lock::{Lock, LockError, LockFile, LockHolder};
pub use repeats::{Repeated, fold};
pub(crate) use rollback::ROLLED_BACK;
pub use rollback::RollbackError;
pub(crate) use sweep::sweep_of;
pub use totals::{History, StepTotals, Totals};
pub(crate) use write::{PRIVATE, prefix as temporary_prefix};
pub use write::{atomic_symlink, atomic_write};

use crate::directories::{Directories, TRAVERSED, Untrusted, make};

/// The files of one app.
#[derive(Debug, Clone)]
pub struct Store {
    name: AppName,
    run: PathBuf,
    state: PathBuf,
}

impl Store {
    /// A store for reading. Its directories need not exist.
    #[must_use]
    pub fn at(name: &AppName, directories: &Directories) -> Self {
        Self {
            name: name.clone(),
            run: directories.run.clone(),
            state: directories.state.clone(),
        }
    }

    /// The store of a test's app, below the test's directory.
    #[cfg(test)]
    #[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    pub(crate) fn below(root: &Path) -> Self {
        let directories = Directories {
            run: root.join("run"),
            state: root.join("state"),
        };
        Self::open(&"app".parse().unwrap(), &directories).unwrap()
    }

    /// Opens the store for writing, and creates its directories.
    ///
    /// Without the directory of the releases no release can be captured, but a crashed one can be started again, and a
    /// holding page shown: so a failure to create it is only logged.
    ///
    /// Directories and files of an older version, or made under a strict umask, get the right modes.
    ///
    /// # Errors
    /// When the runtime directory cannot be made, or somebody else could replace one of them: [`Untrusted`].
    pub fn open(name: &AppName, directories: &Directories) -> io::Result<Self> {
        let store = Self::at(name, directories);
        for directory in ours(&store.run).chain([store.generations_directory()]) {
            make(&directory, TRAVERSED)?;
        }
        match store.ensure_state() {
            // It can be created later; but a directory that others could have filled must not be used.
            Err(error) if is_untrusted(&error) => return Err(error),
            Err(error) => tracing::warn!("{error}"),
            Ok(()) => {}
        }
        migrate::close_files(&store);
        Ok(store)
    }

    /// Creates the directories that last, or reports which one cannot be created: without them no release can be kept.
    ///
    /// # Errors
    /// When one cannot be made, or is not to be trusted.
    pub fn ensure_state(&self) -> io::Result<()> {
        for directory in ours(&self.state).chain([self.releases_directory()]) {
            make(&directory, TRAVERSED)?;
        }
        Ok(())
    }

    /// The app.
    #[must_use]
    pub fn name(&self) -> &AppName {
        &self.name
    }

    /// The directory that lasts until the next boot.
    #[must_use]
    pub fn run_directory(&self) -> &Path {
        &self.run
    }

    /// The directory that lasts.
    #[must_use]
    pub fn state_directory(&self) -> &Path {
        &self.state
    }
}

/// An app's directory, and its parent for all apps.
fn ours(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let all = directory.parent().filter(|all| {
        let name = all.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name == ".run" || name.starts_with(contract::DIRECTORY))
    });
    all.map(Path::to_owned)
        .into_iter()
        .chain([directory.to_owned()])
}

fn is_untrusted(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Untrusted>())
}
