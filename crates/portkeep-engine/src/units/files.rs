//! Files that are changed all together or not at all.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempPath};

use crate::store::{atomic_symlink, atomic_write, temporary_prefix};

/// For directories that everybody may list, such as those of unit files.
const READABLE: u32 = 0o755;

/// An entry at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Its contents.
        text: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link, with its target.
    Link(PathBuf),
}

impl Entry {
    /// The text of a file, or the target of a link.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::File { text, .. } => text.clone(),
            Self::Link(target) => format!("link to {}\n", target.display()),
        }
    }
}

/// Files and links, by path.
pub type Files = BTreeMap<PathBuf, Entry>;

/// One path, as it is and as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: PathBuf,
    /// The present entry.
    pub before: Option<Entry>,
    /// The wanted entry.
    pub after: Option<Entry>,
}

/// The changes from `before` to `after`.
#[must_use]
pub fn difference(before: &Files, after: &Files) -> Vec<Change> {
    let change = |path: &PathBuf| Change {
        path: path.clone(),
        before: before.get(path).cloned(),
        after: after.get(path).cloned(),
    };
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let mut changes: Vec<_> = after.keys().chain(gone).map(change).collect();
    changes.retain(|change| change.before != change.after);
    changes
}

/// Changed files, with their earlier entries. Dropping it without keeping it restores everything.
#[derive(Debug, Default)]
pub(super) struct Journal {
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    /// A second name of the earlier file: that file itself comes back, with its owner and its times.
    Restore {
        path: PathBuf,
        kept: TempPath,
    },
    Remove(PathBuf),
    RemoveDirectory(PathBuf),
}

impl Journal {
    /// Changes one path.
    pub(super) fn apply(&mut self, change: &Change) -> io::Result<()> {
        let path = &change.path;
        let directory = path.parent().unwrap_or(Path::new("/"));
        self.make_directory(directory, READABLE)?;
        if fs::symlink_metadata(path).is_ok() {
            let kept = Builder::new()
                .prefix(&temporary_prefix(path))
                .make_in(directory, |second| fs::hard_link(path, second))?;
            self.undo.push(Undo::Restore {
                path: path.clone(),
                kept: kept.into_temp_path(),
            });
        } else if change.after.is_some() {
            self.undo.push(Undo::Remove(path.clone()));
        }
        match &change.after {
            Some(Entry::File { text, mode }) => atomic_write(path, text.as_bytes(), *mode),
            Some(Entry::Link(target)) => atomic_symlink(target, path),
            None => match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            },
        }
    }

    /// Creates a directory and its missing parents with this mode, whatever the umask.
    pub(super) fn make_directory(&mut self, directory: &Path, mode: u32) -> io::Result<()> {
        if directory.is_dir() {
            return Ok(());
        }
        if let Some(parent) = directory.parent() {
            self.make_directory(parent, mode)?;
        }
        DirBuilder::new().mode(mode).create(directory)?;
        self.made(directory.to_owned());
        fs::set_permissions(directory, Permissions::from_mode(mode))
    }

    /// Records a directory that was made for this: restoring removes it with its contents.
    pub(super) fn made(&mut self, directory: PathBuf) {
        self.undo.push(Undo::RemoveDirectory(directory));
    }

    /// Keeps the changes. Removes directories of drop-ins and links that they leave empty.
    pub(super) fn keep(mut self) {
        let mut directories: Vec<PathBuf> = Vec::new();
        for undo in std::mem::take(&mut self.undo) {
            if let Undo::Restore { path, kept } = undo {
                drop(kept);
                directories.extend(path.parent().map(Path::to_owned));
            }
        }
        for directory in directories {
            if is_emptied(&directory) {
                // Fails if others have files in it: those stay.
                let _ = fs::remove_dir(directory);
            }
        }
    }

    /// Restores everything, the last change first, and returns what failed.
    pub(super) fn take_back(&mut self) -> Vec<io::Error> {
        let undo = std::mem::take(&mut self.undo);
        let results = undo.into_iter().rev().map(|undo| match undo {
            Undo::Restore { path, kept } => kept.persist(path).map_err(io::Error::from),
            Undo::Remove(path) => fs::remove_file(path),
            Undo::RemoveDirectory(path) => fs::remove_dir_all(path),
        });
        let errors = results.filter_map(Result::err);
        errors
            .filter(|error| error.kind() != io::ErrorKind::NotFound)
            .collect()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        for error in self.take_back() {
            tracing::warn!("a file could not be put back: {error}");
        }
    }
}

/// Whether a directory only serves our files: drop-ins, and links to units.
fn is_emptied(directory: &Path) -> bool {
    let ending = directory.extension().and_then(|ending| ending.to_str());
    matches!(ending, Some("d" | "wants" | "requires" | "upholds"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn file(text: &str) -> Entry {
        Entry::File {
            text: text.to_owned(),
            mode: 0o644,
        }
    }

    fn change(path: PathBuf, after: Option<Entry>) -> Change {
        Change {
            path,
            before: None,
            after,
        }
    }

    /// Everything below a directory: names, contents, inodes, times.
    fn state(directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let link = fs::read_link(entry.path()).ok();
            let inode = (!metadata.is_dir()).then(|| (metadata.ino(), metadata.mtime_nsec()));
            found.push(format!("{:?} {text} {link:?} {inode:?}", entry.path()));
            if metadata.is_dir() {
                found.extend(state(&entry.path()));
            }
        }
        found.sort();
        found
    }

    #[test]
    fn only_what_differs_is_changed() {
        let files = |texts: &[(&str, &str)]| -> Files {
            let entry = |(path, text): &(&str, &str)| (PathBuf::from(path), file(text));
            texts.iter().map(entry).collect()
        };
        let before = files(&[("/a", "1"), ("/b", "1"), ("/c", "1")]);
        let after = files(&[("/a", "1"), ("/b", "2"), ("/d", "1")]);
        let changed: Vec<_> = difference(&before, &after)
            .into_iter()
            .map(|change| (change.path.display().to_string(), change.after.is_some()))
            .collect();
        let expected = [("/b", true), ("/d", true), ("/c", false)];
        assert_eq!(changed, expected.map(|(path, is)| (path.to_owned(), is)));
    }

    #[test]
    fn everything_is_put_back_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("x.d")).unwrap();
        fs::write(at("x.d/mine.conf"), "mine").unwrap();
        fs::write(at("replaced"), "old").unwrap();
        fs::set_permissions(at("replaced"), Permissions::from_mode(0o640)).unwrap();
        fs::write(at("removed"), "old").unwrap();
        std::os::unix::fs::symlink("/nowhere", at("link")).unwrap();
        let before = state(root.path());
        let changes = [
            change(at("replaced"), Some(file("new"))),
            change(at("replaced"), Some(Entry::Link("other".into()))),
            change(at("removed"), None),
            change(at("link"), Some(file("new"))),
            change(at("new"), Some(file("new"))),
            change(at("y.d/z.conf"), Some(file("new"))),
            change(at("x.d/mine.conf"), None),
        ];
        let mut journal = Journal::default();
        for change in &changes {
            journal.apply(change).unwrap();
        }
        assert_ne!(state(root.path()), before);
        assert!(journal.take_back().is_empty());
        assert_eq!(state(root.path()), before);
        // A panic, or a caller that does not wait for the end.
        let mut journal = Journal::default();
        for change in &changes {
            journal.apply(change).unwrap();
        }
        drop(journal);
        assert_eq!(state(root.path()), before);
    }

    #[test]
    fn what_is_kept_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("x.d")).unwrap();
        fs::write(at("x.d/ours.conf"), "old").unwrap();
        fs::write(at("replaced"), "old").unwrap();
        let mut journal = Journal::default();
        journal.apply(&change(at("x.d/ours.conf"), None)).unwrap();
        journal
            .apply(&change(at("replaced"), Some(file("new"))))
            .unwrap();
        journal.keep();
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(fs::read_to_string(at("replaced")).unwrap(), "new");
    }
}
