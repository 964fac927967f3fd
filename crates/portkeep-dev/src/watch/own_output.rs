//! Files that this process writes its output to: `portkeep dev > log` writes into the project, and that is no change of a
//! source.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FileType, fstat};

use crate::streams;

/// These files, by device and inode.
pub(crate) struct OwnOutput(Vec<(u64, u64)>);

impl OwnOutput {
    /// Standard output and standard error, if they are files.
    pub(crate) fn of_this_process() -> Self {
        Self(
            [file(streams::stdout()), file(streams::stderr())]
                .into_iter()
                .flatten()
                .collect(),
        )
    }

    pub(crate) fn is(&self, path: &Path) -> bool {
        !self.0.is_empty()
            && path
                .metadata()
                .is_ok_and(|found| self.0.contains(&(found.dev(), found.ino())))
    }
}

fn file(output: impl AsFd) -> Option<(u64, u64)> {
    let found = fstat(output).ok()?;
    let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    is_file.then_some((found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_any_name_and_a_pipe_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let (log, other) = (directory.path().join("log"), directory.path().join("other"));
        let open = std::fs::File::create(&log).unwrap();
        std::fs::write(&other, "").unwrap();
        let linked = directory.path().join("linked");
        std::os::unix::fs::symlink(&log, &linked).unwrap();
        let output = OwnOutput(file(&open).into_iter().collect());
        assert!(output.is(&log) && output.is(&linked));
        assert!(!output.is(&other));

        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(file(&reader), None);
    }
}
