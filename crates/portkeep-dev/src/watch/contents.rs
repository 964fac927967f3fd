//! Tells whether a written file has new contents.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Sources are smaller. A larger file is not read, and every write to it is a change.
const LARGEST: u64 = 1 << 20;

/// Contents of files at their last change.
///
/// The rule: a file that is written with the same contents has not changed. Otherwise a build script that writes a source
/// at each build would cancel its own build, and so would cargo when it writes Cargo.lock. A file is read only after an
/// event, so its first change always counts, and no other file is ever read.
#[derive(Debug, Default)]
pub(super) struct Contents(HashMap<PathBuf, blake3::Hash>);

impl Contents {
    /// Those of `paths` with new contents.
    pub(super) fn new_of(&mut self, mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
        paths.retain(|path| match digest(path) {
            Some(digest) => self.0.insert(path.clone(), digest) != Some(digest),
            None => {
                self.0.remove(path);
                true
            }
        });
        paths
    }

    /// The next write to any file counts.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// Nothing if the file is gone, no regular file, or too large.
fn digest(path: &Path) -> Option<blake3::Hash> {
    let metadata = path.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    // It may grow while it is read.
    hasher
        .update_reader(File::open(path).ok()?.take(LARGEST))
        .ok()?;
    Some(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_again_as_it_was_is_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gen.rs");
        let mut contents = Contents::default();
        let is_new = |contents: &mut Contents| !contents.new_of(vec![path.clone()]).is_empty();
        fs::write(&path, "one").unwrap();
        assert!(is_new(&mut contents), "the first change that is heard of");
        fs::write(&path, "one").unwrap();
        assert!(!is_new(&mut contents));
        fs::write(&path, "two").unwrap();
        assert!(is_new(&mut contents));
        fs::remove_file(&path).unwrap();
        assert!(is_new(&mut contents));
        fs::write(&path, "two").unwrap();
        assert!(is_new(&mut contents), "it had gone");
        contents.forget();
        assert!(is_new(&mut contents));
    }

    #[test]
    fn what_is_too_large_to_be_read_changes_at_every_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.db");
        fs::write(&path, vec![0; 2 << 20]).unwrap();
        let mut contents = Contents::default();
        for _ in 0..2 {
            assert_eq!(contents.new_of(vec![path.clone()]).len(), 1);
        }
    }
}
