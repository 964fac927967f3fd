//! Polling: lists directories at intervals.
//!
//! The `notify` crate's poller compares times in whole seconds: it misses the second of two writes within one, and a file
//! that an older one replaces. This compares the fields of `stat`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use notify::event::{CreateKind, DataChange, ModifyKind, RemoveKind};
use notify::{Event, EventKind};
use tokio::sync::mpsc;

/// The pause between two listings.
const PAUSE: Duration = Duration::from_millis(250);
/// The pause is at least this many times as long as a listing, which uses a tenth of a processor at most.
const SHARE: u32 = 9;

/// State of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A directory, by its inode. Its contents are listed if it is watched.
    Directory(u64),
    File {
        inode: u64,
        size: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
}

/// Entries of a directory, by name.
type Listing = HashMap<PathBuf, State>;
type Directories = Mutex<BTreeMap<PathBuf, Listing>>;

/// Polls until it is dropped.
#[derive(Debug)]
pub(super) struct Polling(Arc<Directories>);

impl Polling {
    pub(super) fn start(events: mpsc::UnboundedSender<Event>) -> Self {
        let directories = Arc::new(Directories::default());
        let looked_at = Arc::downgrade(&directories);
        std::thread::spawn(move || look_on(&looked_at, &events));
        Self(directories)
    }

    /// Reports changes in a directory from now on, until it is gone.
    pub(super) fn watch(&self, directory: &Path) {
        let listing = list(directory).unwrap_or_default();
        let mut directories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        directories.insert(directory.to_owned(), listing);
    }
}

fn look_on(directories: &Weak<Directories>, events: &mpsc::UnboundedSender<Event>) {
    let mut pause = PAUSE;
    loop {
        std::thread::sleep(pause);
        let Some(directories) = directories.upgrade() else {
            return;
        };
        let begun = Instant::now();
        let lock = || directories.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = lock().keys().cloned().collect();
        for directory in all {
            let now = list(&directory);
            let mut known = lock();
            let Some(before) = known.get_mut(&directory) else {
                continue;
            };
            let told = match now {
                Some(now) => {
                    let told = differences(before, &now);
                    *before = now;
                    told
                }
                None => {
                    known.remove(&directory);
                    vec![event(EventKind::Remove(RemoveKind::Any), &directory)]
                }
            };
            drop(known);
            if told.into_iter().any(|one| events.send(one).is_err()) {
                return;
            }
        }
        pause = PAUSE.max(begun.elapsed() * SHARE);
    }
}

/// Nothing if it cannot be read.
fn list(directory: &Path) -> Option<Listing> {
    let entries = fs::read_dir(directory).ok()?;
    let state = |entry: fs::DirEntry| {
        let path = entry.path();
        // Through links, as sources are read. A broken link is a file, too.
        let metadata = path.metadata().or_else(|_| entry.metadata()).ok()?;
        let state = match metadata.is_dir() {
            true => State::Directory(metadata.ino()),
            false => State::File {
                inode: metadata.ino(),
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            },
        };
        Some((path, state))
    };
    Some(entries.flatten().filter_map(state).collect())
}

fn differences(before: &Listing, now: &Listing) -> Vec<Event> {
    let mut found = Vec::new();
    for path in before.keys().filter(|path| !now.contains_key(*path)) {
        found.push(event(EventKind::Remove(RemoveKind::Any), path));
    }
    for (path, state) in now {
        let kind = match (before.get(path), state) {
            (Some(known), state) if known == state => continue,
            (Some(State::File { inode: known, .. }), State::File { inode, .. })
                if known == inode =>
            {
                EventKind::Modify(ModifyKind::Data(DataChange::Any))
            }
            _ => EventKind::Create(CreateKind::Any),
        };
        found.push(event(kind, path));
    }
    found
}

fn event(kind: EventKind, path: &Path) -> Event {
    Event::new(kind).add_path(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_a_directory_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["kept", "written", "older", "replaced", "gone"] {
            fs::write(path(name), "one").unwrap();
        }
        fs::create_dir(path("below")).unwrap();
        let before = list(directory.path()).unwrap();
        assert_eq!(differences(&before, &list(directory.path()).unwrap()), []);
        fs::write(path("below/inside"), "x").unwrap();
        fs::write(path("written"), "two").unwrap();
        let old = fs::File::options().write(true).open(path("older")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
        fs::write(path("other"), "two").unwrap();
        fs::rename(path("other"), path("replaced")).unwrap();
        fs::remove_file(path("gone")).unwrap();
        fs::write(path("new"), "x").unwrap();
        let found = differences(&before, &list(directory.path()).unwrap());
        let mut found: Vec<_> = found
            .iter()
            .map(|event| {
                let name = event.paths[0].file_name().unwrap().to_str().unwrap();
                let what = match event.kind {
                    EventKind::Create(_) => "comes",
                    EventKind::Remove(_) => "goes",
                    _ => "changes",
                };
                format!("{name} {what}")
            })
            .collect();
        found.sort();
        let expected = [
            "gone goes",
            "new comes",
            "older changes",
            "replaced comes",
            "written changes",
        ];
        assert_eq!(found, expected);
        assert!(list(&path("nowhere")).is_none());
    }
}
