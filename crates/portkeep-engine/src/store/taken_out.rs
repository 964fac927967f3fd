//! File that records that an app is taken out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use portkeep_spec::{Label, contract, small_file};

use super::{PutBackRecord, Store, TakenOutReason, TakenOutRecord, atomic_write};
use crate::generation::Generation;
use crate::release::{Digest, Release};
use crate::taken_out::TakenOut;

/// The app and the holding page run as another user, and report it to everybody.
const READABLE: u32 = 0o644;
/// It contains two numbers.
const LONGEST: u64 = 64;

impl Store {
    /// The file for a person's request.
    #[must_use]
    pub fn drain_path(&self) -> PathBuf {
        self.state.join(contract::DRAIN_FILE)
    }

    /// The file for a shutdown.
    #[must_use]
    pub fn leaving_path(&self) -> PathBuf {
        self.run.join(contract::LEAVING_FILE)
    }

    /// Both, as the variable for a generation.
    pub(crate) fn drain_files(&self) -> String {
        let (drain, leaving) = (self.drain_path(), self.leaving_path());
        format!("{}:{}", drain.display(), leaving.display())
    }

    /// Set if a person wants the app taken out.
    #[must_use]
    pub fn taken_out(&self) -> Option<TakenOut> {
        read(&self.drain_path())
    }

    /// The same, or the machine shuts down.
    #[must_use]
    pub fn is_taken_out(&self) -> bool {
        [self.drain_path(), self.leaving_path()]
            .iter()
            .any(|path| path.exists())
    }

    /// Records a person's request. Returns false if there was one before: then nothing has changed.
    pub(crate) fn take_out(&self, wanted: TakenOut) -> io::Result<bool> {
        self.ensure_state()?;
        if self.taken_out().is_some() {
            return Ok(false);
        }
        atomic_write(&self.drain_path(), wanted.to_string().as_bytes(), READABLE)?;
        Ok(true)
    }

    /// Removes a person's request. Returns it; none if there was none.
    pub(crate) fn put_back(&self) -> io::Result<Option<TakenOut>> {
        let before = self.taken_out();
        Ok(remove(&self.drain_path())?.then(|| before.unwrap_or_default()))
    }

    pub(crate) fn note_leaving(&self, leaving: TakenOut) -> io::Result<()> {
        let text = leaving.to_string();
        atomic_write(&self.leaving_path(), text.as_bytes(), READABLE)
    }

    /// The record for taking it out.
    pub(crate) fn taken_out_record(
        &self,
        taken_out: TakenOut,
        cause: TakenOutReason,
    ) -> TakenOutRecord {
        let (generation, digest, label) = self.serving();
        TakenOutRecord {
            at: taken_out.since,
            cause,
            grace_milliseconds: u64::try_from(taken_out.grace.as_millis()).unwrap_or(u64::MAX),
            generation,
            digest,
            label,
        }
    }

    /// The record for putting it back, after it was `taken_out`.
    pub(crate) fn put_back_record(&self, taken_out: TakenOut) -> PutBackRecord {
        let (generation, digest, label) = self.serving();
        PutBackRecord {
            at: Timestamp::now(),
            since: taken_out.since,
            generation,
            digest,
            label,
        }
    }

    fn serving(&self) -> (Option<Generation>, Option<Digest>, Option<Label>) {
        let current = self.current();
        let release = current.and_then(|current| self.release_of(current));
        let label = release.as_ref().and_then(Release::label);
        (current, release.map(|release| release.digest), label)
    }

    /// Removes the file of a shutdown that this runtime directory has outlived.
    pub(crate) fn forget_leaving(&self) -> io::Result<bool> {
        remove(&self.leaving_path())
    }
}

fn read(path: &Path) -> Option<TakenOut> {
    match small_file::read(path, LONGEST) {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            // An unreadable file counts as well.
            Some(text.parse().unwrap_or_default())
        }
        Err(_) => path.exists().then(TakenOut::default),
    }
}

fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_who_wants_it_decides_and_the_second_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        assert!(!store.is_taken_out() && store.put_back().unwrap().is_none());
        let first = TakenOut::now(Duration::from_secs(1));
        assert!(store.take_out(first).unwrap());
        let second = TakenOut::now(Duration::from_secs(9));
        assert!(!store.take_out(second).unwrap());
        assert_eq!(store.taken_out(), Some(first));
        assert!(store.is_taken_out());
        let mode = fs::metadata(store.drain_path()).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o644, "the app reads it");
        assert_eq!(store.put_back().unwrap(), Some(first));
        assert_eq!(store.taken_out(), None);
    }

    #[test]
    fn a_shutdown_takes_it_out_for_this_boot_only() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        store.note_leaving(TakenOut::now(Duration::ZERO)).unwrap();
        assert!(store.is_taken_out() && store.taken_out().is_none());
        assert!(store.forget_leaving().unwrap());
        assert!(!store.is_taken_out());
    }

    #[test]
    fn what_cannot_be_read_takes_it_out_all_the_same() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        store.ensure_state().unwrap();
        for text in ["", "what", &"1".repeat(1000)] {
            fs::write(store.drain_path(), text).unwrap();
            assert!(store.taken_out().is_some(), "{text:?}");
        }
    }
}
