//! One handover at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

use super::Store;

/// How often we look whether the lock is free: the kernel tells nobody of it.
const STEP: Duration = Duration::from_millis(5);

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
        let file = self.lock_file()?;
        file.lock()?;
        Ok(Lock { _file: file })
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn try_lock(&self) -> io::Result<Option<Lock>> {
        let file = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock if it is free before `patience` is over. An error counts as held: who asks goes on without it.
    pub(crate) async fn lock_within(&self, patience: Duration) -> Option<Lock> {
        let deadline = Instant::now() + patience;
        loop {
            match self.try_lock() {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) if Instant::now() < deadline => tokio::time::sleep(STEP).await,
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!("the lock cannot be taken: {error}");
                    return None;
                }
            }
        }
    }

    fn lock_file(&self) -> io::Result<File> {
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.run.join("lock"))
    }
}
