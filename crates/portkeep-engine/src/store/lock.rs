//! Lock of an app: one handover at a time.

mod holder;

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portkeep_spec::contract;
use rustix::fs::OFlags;

pub use holder::LockHolder;

use super::{Store, write::PRIVATE};

/// Interval of looks at the lock: the kernel does not report its release.
const STEP: Duration = Duration::from_millis(5);

/// Held during a handover; released when dropped, and by the kernel when its holder dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// The locked file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "{path} is locked by {}, for {} s already; {}",
        LockHolder::describe(.holder.as_ref()), .waited.as_secs(), LockHolder::remedy(.holder.as_ref(), .path)
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder; none if the kernel does not name it.
        holder: Option<LockHolder>,
        /// How long we waited.
        waited: Duration,
    },
    /// Its file cannot be opened.
    #[error("cannot open the lock {path}: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl From<LockError> for io::Error {
    fn from(error: LockError) -> Self {
        let kind = match &error {
            LockError::Held { .. } => io::ErrorKind::TimedOut,
            LockError::Io { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}

/// A file that is locked, not read. Only its owner can open it, and so lock it.
#[derive(Debug, Clone)]
pub struct LockFile {
    path: PathBuf,
}

impl LockFile {
    /// The lock at `path`, whose directory is trusted.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn try_take(&self) -> io::Result<Option<Lock>> {
        let file = self.open()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock, and waits for it as long as `patience` allows. Waiting processes get it in turn.
    ///
    /// # Errors
    /// When somebody keeps it longer, or the file cannot be opened.
    pub fn take(&self, patience: Duration) -> Result<Lock, LockError> {
        let fail = |source| LockError::Io {
            path: self.path.clone(),
            source,
        };
        let file = self.open().map_err(fail)?;
        match file.try_lock() {
            Ok(()) => return Ok(Lock { file }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        // The kernel queues waiting processes, but has no deadline: a thread waits, and releases a lock that it gets too
        // late.
        let (sender, taken) = channel();
        std::thread::spawn(move || {
            let locked = file.lock().map(|()| Lock { file });
            let _ = sender.send(locked);
        });
        match taken.recv_timeout(patience) {
            Ok(locked) => locked.map_err(fail),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(LockError::Held {
                    path: self.path.clone(),
                    holder: self.holder(),
                    waited: patience,
                })
            }
        }
    }

    /// Takes the lock if it becomes free within `patience`. An error counts as held: the caller goes on without it.
    pub(crate) async fn take_within(&self, patience: Duration) -> Option<Lock> {
        let deadline = Instant::now() + patience;
        loop {
            match self.try_take() {
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

    /// The present holder.
    #[must_use]
    pub fn holder(&self) -> Option<LockHolder> {
        LockHolder::of(&self.path)
    }

    fn open(&self) -> io::Result<File> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(PRIVATE)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&self.path)?;
        // Older versions created it with 0644, and reading is enough to lock it.
        if file.metadata()?.mode() & 0o777 != PRIVATE {
            file.set_permissions(Permissions::from_mode(PRIVATE))?;
        }
        Ok(file)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Store {
    /// The lock of handovers.
    #[must_use]
    pub fn lock_file(&self) -> LockFile {
        LockFile::at(self.run.join(contract::LOCK))
    }

    /// Takes the lock, and waits for it as long as `patience` allows.
    ///
    /// # Errors
    /// When somebody keeps it longer: the message names who, and the remedy.
    pub fn lock(&self, patience: Duration) -> Result<Lock, LockError> {
        self.lock_file().take(patience)
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn try_lock(&self) -> io::Result<Option<Lock>> {
        self.lock_file().try_take()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn who_waits_gets_it_when_it_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let lock = LockFile::at(directory.path().join("lock"));
        let held = lock.try_take().unwrap().unwrap();
        assert!(lock.try_take().unwrap().is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock.take(Duration::from_secs(60)));
            drop(held);
            waiting.join().unwrap().unwrap();
        });
        // The thread has released it, too.
        assert!(lock.take(Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn who_keeps_it_is_named_and_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let lock = LockFile::at(directory.path().join("lock"));
        let _held = lock.try_take().unwrap().unwrap();
        let begun = Instant::now();
        let error = lock.take(Duration::from_millis(50)).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(30));
        let said = error.to_string();
        let me = format!("process {}", std::process::id());
        let command = std::env::args().next().unwrap();
        for part in [
            me.as_str(),
            command.as_str(),
            "kill",
            &lock.path().display().to_string(),
        ] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    }

    #[test]
    fn nobody_else_may_open_it_also_if_it_was_there_before() {
        let directory = tempfile::tempdir().unwrap();
        let lock = LockFile::at(directory.path().join("lock"));
        fs::write(lock.path(), "").unwrap();
        fs::set_permissions(lock.path(), Permissions::from_mode(0o644)).unwrap();
        drop(lock.try_take().unwrap());
        assert_eq!(fs::metadata(lock.path()).unwrap().mode() & 0o777, 0o600);
        fs::remove_file(lock.path()).unwrap();
        std::os::unix::fs::symlink("elsewhere", lock.path()).unwrap();
        assert!(lock.try_take().is_err());
        assert!(!directory.path().join("elsewhere").exists());
    }
}
