//! States of a release's files: quick to read, and enough to tell whether anything changed.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use portkeep_spec::Spec;
use serde::{Deserialize, Serialize};

use super::CaptureError;
use super::files::Tree;
use super::found_file::FoundFile;
use super::place::is_fixed;

/// Metadata that shows a change of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified_nanoseconds: i128,
    changed_nanoseconds: i128,
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_nanoseconds: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_nanoseconds: match metadata.nlink() {
                1 => nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
                // The change time changes with each link. cargo's output has two links, and ours adds another.
                _ => 0,
            },
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            device,
            inode,
            size,
            modified_nanoseconds: modified,
            changed_nanoseconds: changed,
        } = self;
        write!(f, "{device} {inode} {size} {modified} {changed}")
    }
}

impl Identity {
    /// Whether it is the same file with the same contents.
    pub(super) fn has_contents_of(&self, then: &Self) -> bool {
        (self.device, self.inode) == (then.device, then.inode)
            && (self.size, self.modified_nanoseconds) == (then.size, then.modified_nanoseconds)
    }
}

/// Paths (links resolved) and states of the executable, of the release command's program if it is another one, and of the
/// watched file if it is another one (a script that an interpreter runs).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileStates {
    executable: (PathBuf, Identity),
    others: Vec<(PathBuf, Identity)>,
    /// The digest of the states of all the release's `files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<String>,
}

/// The files that make a release, ready to be opened.
#[derive(Debug)]
pub(super) struct FoundFiles {
    pub(super) executable: FoundFile,
    /// The program of the release command, if it is another one.
    pub(super) releaser: Option<FoundFile>,
    pub(super) others: Vec<FoundFile>,
    pub(super) files: Option<Tree>,
}

impl FoundFiles {
    pub(super) fn at(spec: &Spec) -> Result<Self, CaptureError> {
        let command = spec.exec.first().ok_or(CaptureError::NoCommand)?;
        let executable = resolve(command)?;
        let releaser = spec.release.first().filter(|program| *program != command);
        let releaser = releaser.map(|program| resolve(program)).transpose()?;
        let watched = spec
            .watch
            .as_deref()
            .and_then(|path| FoundFile::at(path).ok());
        let others = watched
            .into_iter()
            .filter(|found| found.is_regular() && found.path() != executable.path());
        Ok(Self {
            others: others.collect(),
            releaser,
            executable,
            files: Tree::find(spec)?,
        })
    }

    pub(super) fn states(&self) -> FileStates {
        let state = |found: &FoundFile| (found.path().to_owned(), found.identity());
        FileStates {
            executable: state(&self.executable),
            others: self
                .releaser
                .iter()
                .chain(&self.others)
                .map(state)
                .collect(),
            files: self.files.as_ref().map(Tree::digest),
        }
    }
}

impl FileStates {
    /// The states of the files that `spec` names now.
    ///
    /// # Errors
    /// When the executable is missing.
    pub(crate) fn of_spec(spec: &Spec) -> Result<Self, CaptureError> {
        Ok(FoundFiles::at(spec)?.states())
    }

    /// The state of one executable, and of nothing else.
    ///
    /// # Errors
    /// When it is missing.
    pub(crate) fn of_executable(executable: &Path) -> Result<Self, CaptureError> {
        let found = FoundFile::at(executable)?;
        Ok(Self {
            executable: (executable.to_owned(), found.identity()),
            others: Vec::new(),
            files: None,
        })
    }

    pub(crate) fn executable(&self) -> &Path {
        &self.executable.0
    }

    /// Whether `executable` can run as the file of this state. A copy can. A file that runs in place, or shares its blocks
    /// with a build's output, may have been changed or replaced, unless its directory never changes.
    pub(crate) fn holds_for(&self, executable: &Path) -> bool {
        let in_place = executable == self.executable();
        fs::metadata(executable).is_ok_and(|metadata| {
            let (now, then) = (Identity::from(&metadata), self.executable.1);
            let is_copy = (now.device, now.inode) != (then.device, then.inode) && !in_place;
            is_copy || in_place && is_fixed(executable) || now.has_contents_of(&then)
        })
    }
}

/// The file that the program `command` leads to, and the name that it was reached by.
///
/// # Errors
/// When it is missing.
pub(crate) fn program_at(command: &str) -> Result<(PathBuf, PathBuf), CaptureError> {
    let found = resolve(command)?;
    Ok((found.path().to_owned(), found.named().to_owned()))
}

/// Finds `command`: a path as it stands, a plain name in `PATH`.
pub(super) fn resolve(command: &str) -> Result<FoundFile, CaptureError> {
    if command.contains('/') {
        return FoundFile::at(Path::new(command));
    }
    let search = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&search)
        .filter_map(|directory| FoundFile::at(&directory.join(command)).ok())
        .find(FoundFile::is_regular)
        .ok_or_else(|| CaptureError::NotInPath(command.to_owned(), search.clone()))
}
