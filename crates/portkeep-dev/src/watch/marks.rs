//! Marks in the stream of file events. A mark is a file of ours that the same watcher sees: every change that was saved before
//! it is reported before it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of the marks, in the app's runtime directory.
const DIRECTORY: &str = "marks";

/// Marks that were made, and those that were heard of.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Where they are made; nowhere if that cannot be watched.
    directory: Option<PathBuf>,
    outstanding: Vec<u64>,
    reached: Vec<u64>,
}

impl Marks {
    /// The directory to watch for the marks of an app.
    pub(super) fn directory_in(run_directory: &Path) -> io::Result<PathBuf> {
        let directory = run_directory.join(DIRECTORY);
        // What a `portkeep dev` has left that was killed.
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir(&directory)?;
        // Events name the files by their real paths.
        directory.canonicalize()
    }

    /// In this directory, which is watched.
    pub(super) fn of(directory: PathBuf) -> Self {
        Self {
            directory: Some(directory),
            ..Self::default()
        }
    }

    /// Makes no more marks: where directories are looked at one after another, a mark may be seen before what was saved before it.
    pub(super) fn stop(&mut self) {
        self.directory = None;
    }

    /// Makes a mark. False where that cannot be: nothing will be heard of it.
    pub(super) fn make(&mut self, number: u64) -> bool {
        let made = self.directory.as_ref().map(|directory| {
            let path = directory.join(number.to_string());
            fs::write(path, "")
        });
        self.outstanding.push(number);
        matches!(made, Some(Ok(())))
    }

    /// Takes note of an event. True if it is of a mark.
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

    /// Everything is looked at again: nothing more is heard of marks that were made before, and nothing has to be.
    pub(super) fn reach_all(&mut self) {
        self.reached.append(&mut self.outstanding);
    }

    /// Whether one was heard of.
    pub(super) fn is_reached(&self) -> bool {
        !self.reached.is_empty()
    }

    /// Takes one that was heard of.
    pub(super) fn take(&mut self) -> Option<u64> {
        (!self.reached.is_empty()).then(|| self.reached.remove(0))
    }
}
