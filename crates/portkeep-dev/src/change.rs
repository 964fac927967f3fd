//! Changed files, and what they mean for pages.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Extensions of files that a build may read even if none has done so yet.
const SOURCES: [&str; 3] = ["rs", "toml", "lock"];
const SOURCE_NAMES: [&str; 6] = [
    "Makefile",
    "makefile",
    "justfile",
    "Dockerfile",
    ".env",
    "portkeep.json",
];

/// A file that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    pub(crate) found: Found,
}

/// What exists under the name of a changed file when it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    File,
    Directory,
    /// It was removed.
    Nothing,
}

impl Change {
    /// Looks at the file.
    pub(crate) fn of(path: PathBuf) -> Self {
        let found = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Found::Directory,
            Ok(_) => Found::File,
            Err(_) => Found::Nothing,
        };
        Self { path, found }
    }
}

/// What pages do after files changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Changed {
    /// Nothing: no page shows them.
    Nothing,
    /// Replace style sheets.
    Styles,
    /// Load again.
    Pages,
}

/// Changed files of several rounds, each file once, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    list: Vec<Change>,
    known: HashSet<PathBuf>,
}

impl Changes {
    pub(crate) fn add(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            if self.known.insert(change.path.clone()) {
                self.list.push(change);
            }
        }
    }

    pub(crate) fn as_slice(&self) -> &[Change] {
        &self.list
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.known.clear();
    }

    /// Takes all of them.
    pub(crate) fn take(&mut self) -> Vec<Change> {
        self.known.clear();
        std::mem::take(&mut self.list)
    }
}

/// Whether a build may read this file, by its name, even if none has done so yet.
pub(crate) fn is_source(path: &Path) -> bool {
    has_extension(path, &SOURCES)
        || path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| SOURCE_NAMES.contains(&name))
}

pub(crate) fn has_extension(path: &Path, of: &[&str]) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| of.contains(&extension))
}

/// The changed files for people, relative to the directory `here`.
pub(crate) fn names(changes: &[Change], here: &Path) -> String {
    // Some editors write another file first, which is gone by now.
    let is_there = |change: &&Change| change.found != Found::Nothing;
    let first = changes.iter().find(is_there).or(changes.first());
    let first = first.map(|change| change.path.strip_prefix(here).unwrap_or(&change.path));
    let first = first.unwrap_or(Path::new("")).display();
    match changes.len() {
        0 | 1 => first.to_string(),
        all => format!("{first} and {} more", all - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_names_the_change() {
        let change = |path: &str, found| Change {
            path: path.into(),
            found,
        };
        let changes = [
            change("/p/4913", Found::Nothing),
            change("/p/src/main.rs", Found::File),
        ];
        let here = Path::new("/p");
        assert_eq!(names(&changes, here), "src/main.rs and 1 more");
        assert_eq!(names(&changes[..1], here), "4913");
        assert_eq!(names(&changes[1..], Path::new("/q")), "/p/src/main.rs");
    }

    #[test]
    fn a_file_that_changes_often_is_kept_once() {
        let mut changes = Changes::default();
        for path in ["/b", "/a", "/b"] {
            changes.add([Change::of(path.into())]);
        }
        assert_eq!(names(changes.as_slice(), Path::new("/")), "b and 1 more");
        assert_eq!(changes.take().len(), 2);
        assert!(changes.as_slice().is_empty());
    }
}
