//! Lock of a project: one `portkeep dev` at a time.

use std::path::Path;

use anyhow::{Context, anyhow};
use portkeep_engine::store::{Lock, LockFile};

/// Held while `portkeep dev` runs.
#[derive(Debug)]
pub(crate) struct DevLock {
    _lock: Lock,
}

impl DevLock {
    /// Takes the lock, or names its holder. The directory is that of an open store.
    pub(crate) fn take(run_directory: &Path, name: &str) -> anyhow::Result<Self> {
        let file = LockFile::at(run_directory.join("dev.lock"));
        let taken = file
            .try_take()
            .with_context(|| format!("cannot open the lock {}", file.path().display()))?;
        match taken {
            Some(lock) => Ok(Self { _lock: lock }),
            None => {
                let holder = file.holder();
                let holder = holder.map_or_else(
                    || "which the kernel does not name".to_owned(),
                    |holder| format!("process {}: `{}`", holder.pid, holder.command),
                );
                Err(anyhow!(
                    "another `portkeep dev` runs {name} already ({holder}); end it with Ctrl-C, or give this project \
                     another `name`"
                ))
            }
        }
    }
}
