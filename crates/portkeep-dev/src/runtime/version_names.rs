//! Names of executables beside where cargo built them.
//!
//! Under `cargo run` an app runs where it was built, and may look for files from there (`current_exe()`, `$ORIGIN`). But
//! that name belongs to the newest build, whichever version runs: so each version gets a name of its own beside it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portkeep_spec::Spec;

/// Number of the next name.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// Number of named versions besides those for roll backs: one that serves, and one that starts.
const BESIDES: usize = 2;

/// Names of versions that one session makes beside cargo's output.
#[derive(Debug, Clone)]
pub(super) struct VersionNames {
    /// Infix between the executable's name and a number, unique to this session.
    mark: String,
    keeps: usize,
    directories: Arc<Mutex<BTreeSet<PathBuf>>>,
}

/// A name, and the file that it led to when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    state: State,
}

impl Named {
    /// Whether it still leads to that file.
    pub(super) fn holds(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|now| state(&now) == self.state)
    }
}

impl VersionNames {
    pub(super) fn of(spec: &Spec) -> Self {
        Self {
            mark: format!(".portkeep-{}-", spec.name),
            keeps: spec.keep_generations as usize + BESIDES,
            directories: Arc::default(),
        }
    }

    /// Gives cargo's output another name beside it, which the next build does not remove; or returns an existing one.
    ///
    /// # Errors
    /// If there can be no such name: the directory is read-only, or the file belongs to another user.
    pub(super) fn name(&self, executable: &Path) -> io::Result<Named> {
        let none = || io::Error::from(io::ErrorKind::InvalidInput);
        let directory = executable.parent().ok_or_else(none)?;
        let name = executable.file_name().ok_or_else(none)?;
        let mut directories = self
            .directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if directories.insert(directory.to_owned()) {
            // Names of a killed session.
            for (_, path) in self.named(directory, Some(name)) {
                let _ = fs::remove_file(path);
            }
        }
        let mut known = self.named(directory, Some(name));
        let state = state(&fs::metadata(executable)?);
        let newest = known.last().map(|(_, path)| Named {
            path: path.clone(),
            state,
        });
        if let Some(newest) = newest.filter(Named::holds) {
            return Ok(newest);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut file = name.to_owned();
        file.push(format!("{}{number}", self.mark));
        let path = directory.join(file);
        fs::hard_link(executable, &path)?;
        known.truncate((known.len() + 1).saturating_sub(self.keeps));
        for (_, old) in known {
            let _ = fs::remove_file(old);
        }
        let state = self::state(&fs::symlink_metadata(&path)?);
        Ok(Named { path, state })
    }

    /// Removes all of them.
    pub(super) fn remove(&self) {
        let mut directories = self
            .directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for directory in std::mem::take(&mut *directories) {
            for (_, path) in self.named(&directory, None) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// The names in a directory, of one executable or of all, oldest first.
    fn named(&self, directory: &Path, of: Option<&OsStr>) -> Vec<(u64, PathBuf)> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let number = |path: PathBuf| {
            let (name, number) = path.file_name()?.to_str()?.rsplit_once(&self.mark)?;
            let is_of = of.is_none_or(|of| of == name);
            let number = number.parse().ok().filter(|_| is_of)?;
            Some((number, path))
        };
        let mut found: Vec<_> = entries.filter_map(|entry| number(entry.path())).collect();
        found.sort();
        found
    }
}

/// Whether both lead to one file. cargo makes a new file for a new build; our link is the same file.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let found = |path: &Path| fs::metadata(path).ok().map(|metadata| state(&metadata));
    found(one).is_some_and(|one| found(other) == Some(one))
}

type State = (u64, u64, u64, i64, i64);

fn state(metadata: &Metadata) -> State {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_a_name_of_its_own_where_it_was_built() {
        let directory = tempfile::tempdir().unwrap();
        let built = directory.path().join("hello");
        let build = |contents: &str| {
            let _ = fs::remove_file(&built);
            fs::write(&built, contents).unwrap();
        };
        let mut spec = Spec::new("app".parse().unwrap(), Vec::new(), Vec::new());
        spec.keep_generations = 1;
        let others = [
            "hello.portkeep-app-2-0",
            "hello.portkeep-other-0",
            "hello.d",
        ];
        for name in others {
            fs::write(directory.path().join(name), "").unwrap();
        }
        // A session was killed.
        fs::write(directory.path().join("hello.portkeep-app-99"), "").unwrap();
        let beside = VersionNames::of(&spec);
        let mut names = Vec::new();
        for contents in ["one", "two", "three", "four"] {
            build(contents);
            let name = beside.name(&built).unwrap();
            assert_eq!(beside.name(&built).unwrap(), name);
            names.push(name);
        }
        assert_eq!(names.iter().filter(|name| name.holds()).count(), 3);
        let read = |name: &Named| fs::read_to_string(&name.path).ok();
        let kept: Vec<_> = names.iter().filter_map(read).collect();
        assert_eq!(kept, ["two", "three", "four"]);
        beside.remove();
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            others.len() + 1
        );
    }
}
