//! Stamp of a file: metadata that changes whenever somebody changes it.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Seconds and nanoseconds.
type Time = (i64, i64);

/// State of a file. A missing file has a stamp, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamp(Option<Found>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    device: u64,
    inode: u64,
    size: u64,
    modified: Time,
    /// Nobody can set this time back.
    changed: Time,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        Self(path.metadata().ok().map(|metadata| Found::of(&metadata)))
    }

    /// The oldest stamp of the files that exist.
    pub(super) fn oldest(stamps: impl Iterator<Item = Self>) -> Option<Self> {
        let found = stamps.filter_map(|stamp| stamp.0);
        found
            .min_by_key(|found| found.changed)
            .map(|found| Self(Some(found)))
    }

    /// Whether the file may have changed after `other` was made. The clock of file systems is coarse: equal times count as
    /// changed.
    pub(super) fn is_since(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Some(one), Some(other)) => one.modified.max(one.changed) >= other.changed,
            _ => true,
        }
    }
}

impl Found {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Stamps of several files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stamps(BTreeMap<PathBuf, Stamp>);

impl Stamps {
    pub(super) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamps = paths.into_iter().map(|path| {
            let stamp = Stamp::of(&path);
            (path, stamp)
        });
        Self(stamps.collect())
    }

    pub(super) fn add(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        self.0.extend(Self::of(paths).0);
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.0.keys().cloned()
    }

    /// The current stamps of the same files.
    pub(super) fn now(&self) -> Self {
        Self::of(self.0.keys().cloned())
    }

    /// The files whose stamps differ.
    pub(super) fn differences(&self, other: &Self) -> Vec<PathBuf> {
        let is_other = |(path, was): &(&PathBuf, &Stamp)| other.0.get(*path) != Some(*was);
        let changed = self.0.iter().filter(is_other);
        changed.map(|(path, _)| path.clone()).collect()
    }

    /// The files whose stamps differ, or that may have changed since `begun`.
    pub(super) fn changed_since(&self, begun: &Stamp) -> Vec<PathBuf> {
        let changed = self.0.iter().filter(|(path, was)| {
            let is = Stamp::of(path);
            is != **was || is.is_since(begun)
        });
        changed.map(|(path, _)| path.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, FileTimes};
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    #[test]
    fn whatever_is_done_to_a_file_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| {
            fs::write(at(name), text).unwrap();
            sleep(Duration::from_millis(30));
        };
        for (what, is_changed) in [
            ("nothing", false),
            ("written", true),
            ("set back", true),
            ("replaced", true),
            ("removed", true),
        ] {
            write("a", "one");
            write("begun", "");
            let begun = Stamp::of(&at("begun"));
            let stamps = Stamps::of([at("a")]);
            match what {
                "written" => write("a", "two"),
                "set back" => {
                    let old = fs::metadata(at("a")).unwrap().modified().unwrap();
                    write("a", "two");
                    let times = FileTimes::new().set_modified(old);
                    File::options()
                        .write(true)
                        .open(at("a"))
                        .unwrap()
                        .set_times(times)
                        .unwrap();
                }
                "replaced" => {
                    write("b", "one");
                    fs::rename(at("b"), at("a")).unwrap();
                }
                "removed" => fs::remove_file(at("a")).unwrap(),
                _ => {}
            }
            let changed = stamps.changed_since(&begun);
            assert_eq!(!changed.is_empty(), is_changed, "{what}");
            assert_eq!(stamps.now() != stamps, is_changed, "{what}");
        }
    }

    #[test]
    fn what_changed_while_a_build_ran_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("begun"), "").unwrap();
        fs::write(at("a"), "during").unwrap();
        let stamps = Stamps::of([at("a")]);
        assert_eq!(stamps.changed_since(&Stamp::of(&at("begun"))), [at("a")]);
    }
}
