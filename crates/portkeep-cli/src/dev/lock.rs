//! One `portkeep dev` for a project.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, anyhow};

/// Held as long as `portkeep dev` runs.
#[derive(Debug)]
pub(crate) struct DevLock {
    _file: File,
}

impl DevLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(run_directory: &Path, name: &str) -> anyhow::Result<Self> {
        let path = run_directory.join("dev.lock");
        let fail = || format!("cannot open {}", path.display());
        fs::create_dir_all(run_directory).with_context(fail)?;
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                return Err(anyhow!(
                    "another `portkeep dev` runs {name} already (process {}); end it with Ctrl-C, or give this project \
                     another `name`",
                    pid.trim(),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(fail),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}
