//! One handover at a time.

use std::fs::File;
use std::io;

use super::Store;

/// Held while a handover is under way; released when dropped, and by the kernel when its holder dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Store {
    /// Waits for the lock. There is no deadline here because every step of its holder has one.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn lock(&self) -> io::Result<Lock> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.run.join("lock"))?;
        file.lock()?;
        Ok(Lock { _file: file })
    }
}
