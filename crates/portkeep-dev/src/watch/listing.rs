//! Directory listings as git sees them. Each directory of a burst is listed once.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::walk::walker;

/// Listed directories, each as it was when it was first asked for.
#[derive(Debug, Default)]
pub(super) struct Listing(HashMap<PathBuf, HashSet<PathBuf>>);

impl Listing {
    /// Whether git would see `path`, given that it sees its directory. The walker knows all rules of ignoring.
    pub(super) fn has(&mut self, path: &Path) -> bool {
        let Some(parent) = path.parent() else {
            return false;
        };
        if !self.0.contains_key(parent) {
            let entries = walker(parent, &[]).max_depth(Some(1)).build().flatten();
            let entries = entries.map(ignore::DirEntry::into_path).collect();
            self.0.insert(parent.to_owned(), entries);
        }
        self.0[parent].contains(path)
    }
}
