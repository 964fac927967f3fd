//! States of the files that make a release: cheap to find out, and enough to tell whether anything changed.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use portkeep_spec::Spec;
use serde::{Deserialize, Serialize};

use super::CaptureError;
use super::files::Tree;
use super::found::Found;
use super::place::is_fixed;

/// What tells one state of a file from another without reading it.
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
                // Changes whenever one of its names comes or goes. cargo's output has two, and ours.
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
    /// The same file, and nobody wrote into it.
    pub(super) fn has_contents_of(&self, then: &Self) -> bool {
        (self.device, self.inode) == (then.device, then.inode)
            && (self.size, self.modified_nanoseconds) == (then.size, then.modified_nanoseconds)
    }
}

/// The executable, and the program of the release command and the watched file where these are others (a script that an
/// interpreter runs): where they are,
/// symbolic links resolved, and in which state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileStates {
    executable: (PathBuf, Identity),
    others: Vec<(PathBuf, Identity)>,
    /// The digest of the states of all files that the release brings along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<String>,
}

/// The files that make a release, ready to be opened.
#[derive(Debug)]
pub(super) struct FoundFiles {
    pub(super) executable: Found,
    /// The program of the release command, where it is another one.
    pub(super) releaser: Option<Found>,
    pub(super) others: Vec<Found>,
    pub(super) files: Option<Tree>,
}

impl FoundFiles {
    pub(super) fn at(spec: &Spec) -> Result<Self, CaptureError> {
        let command = spec.exec.first().ok_or(CaptureError::NoCommand)?;
        let executable = resolve(command)?;
        let releaser = spec.release.first().filter(|program| *program != command);
        let releaser = releaser.map(|program| resolve(program)).transpose()?;
        let watched = spec.watch.as_deref().and_then(|path| Found::at(path).ok());
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
        let state = |found: &Found| (found.path().to_owned(), found.identity());
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
        let found = Found::at(executable)?;
        Ok(Self {
            executable: (executable.to_owned(), found.identity()),
            others: Vec::new(),
            files: None,
        })
    }

    pub(crate) fn executable(&self) -> &Path {
        &self.executable.0
    }

    /// Whether `executable` can run as the file whose state this is. A copy is another file; what runs in place, or shares its blocks
    /// with a build's output, could have been written into or replaced, but where files are fixed.
    pub(crate) fn holds_for(&self, executable: &Path) -> bool {
        let in_place = executable == self.executable();
        fs::metadata(executable).is_ok_and(|metadata| {
            let (now, then) = (Identity::from(&metadata), self.executable.1);
            let is_copy = (now.device, now.inode) != (then.device, then.inode) && !in_place;
            is_copy || in_place && is_fixed(executable) || now.has_contents_of(&then)
        })
    }
}

/// Where the program `command` leads, and by which name it was reached.
///
/// # Errors
/// When it is missing.
pub(crate) fn program_at(command: &str) -> Result<(PathBuf, PathBuf), CaptureError> {
    let found = resolve(command)?;
    Ok((found.path().to_owned(), found.named().to_owned()))
}

/// Where `command` is: a path as it stands, a bare name in `PATH`.
pub(super) fn resolve(command: &str) -> Result<Found, CaptureError> {
    if command.contains('/') {
        return Found::at(Path::new(command));
    }
    let search = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&search)
        .filter_map(|directory| Found::at(&directory.join(command)).ok())
        .find(Found::is_regular)
        .ok_or_else(|| CaptureError::NotInPath(command.to_owned(), search.clone()))
}
