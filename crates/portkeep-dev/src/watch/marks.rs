//! Marks in the stream of file events. A mark is a file of ours that the same watcher sees: all earlier saves are reported
//! before it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of the marks, in the app's runtime directory.
const DIRECTORY: &str = "marks";

/// Marks that were made, and marks that were seen.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Their directory; none if it cannot be watched.
    directory: Option<PathBuf>,
    outstanding: Vec<u64>,
    reached: Vec<u64>,
}

impl Marks {
    /// The directory to watch for the marks of an app.
    pub(super) fn directory_in(run_directory: &Path) -> io::Result<PathBuf> {
        let directory = run_directory.join(DIRECTORY);
        // A leftover of a killed `portkeep dev`.
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir(&directory)?;
        // Events name files by their real paths.
        directory.canonicalize()
    }

    /// Marks in this directory, which is watched.
    pub(super) fn of(directory: PathBuf) -> Self {
        Self {
            directory: Some(directory),
            ..Self::default()
        }
    }

    /// Makes no more marks: when directories are polled one after another, a mark may be seen before an earlier save.
    pub(super) fn stop(&mut self) {
        self.directory = None;
    }

    /// Makes a mark. Returns false if that is impossible: then it will not be seen.
    pub(super) fn make(&mut self, number: u64) -> bool {
        let made = self.directory.as_ref().map(|directory| {
            let path = directory.join(number.to_string());
            fs::write(path, "")
        });
        self.outstanding.push(number);
        matches!(made, Some(Ok(())))
    }

    /// Takes an event. Returns true if it is about a mark.
    pub(super) fn hear(&mut self, event: &notify::Event) -> bool {
        let Some(directory) = &self.directory else {
            return false;
        };
        let mut is_mark = false;
        for path in event
            .paths
            .iter()
            .filter(|path| path.starts_with(directory))
        {
            is_mark = true;
            let number = path
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            let at = self.outstanding.iter().position(|one| Some(*one) == number);
            if let Some(at) = at {
                self.reached.push(self.outstanding.remove(at));
                let _ = fs::remove_file(path);
            }
        }
        is_mark
    }

    /// Everything is listed again: earlier marks are not waited for.
    pub(super) fn reach_all(&mut self) {
        self.reached.append(&mut self.outstanding);
    }

    /// Whether a mark was seen.
    pub(super) fn is_reached(&self) -> bool {
        !self.reached.is_empty()
    }

    /// Takes a mark that was seen.
    pub(super) fn take(&mut self) -> Option<u64> {
        (!self.reached.is_empty()).then(|| self.reached.remove(0))
    }
}
