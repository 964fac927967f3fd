//! One look at the files that make a release: cheap, and enough to tell whether anything changed.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use portkeep_spec::Spec;
use serde::{Deserialize, Serialize};

use super::TakeError;

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
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

/// The executable, and the watched file where it is another one (a script that an interpreter runs): where they are,
/// symbolic links resolved, and in which state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    executable: (PathBuf, Identity),
    others: Vec<(PathBuf, Identity)>,
}

impl Look {
    /// Looks.
    ///
    /// # Errors
    /// When the executable is missing.
    pub(crate) fn at(spec: &Spec) -> Result<Self, TakeError> {
        let command = spec.exec.first().ok_or(TakeError::NoCommand)?;
        let source = resolve(command)?;
        let watched = spec
            .watch
            .as_deref()
            .and_then(|path| fs::canonicalize(path).ok());
        let watched = watched.filter(|path| path.is_file() && *path != source);
        let others = watched
            .map(|path| identify(path).map(|one| vec![one]))
            .transpose()?;
        Ok(Self {
            executable: identify(source)?,
            others: others.unwrap_or_default(),
        })
    }

    /// Looks at one executable, and at nothing else.
    ///
    /// # Errors
    /// When it is missing.
    pub(crate) fn of(executable: PathBuf) -> Result<Self, TakeError> {
        Ok(Self {
            executable: identify(executable)?,
            others: Vec::new(),
        })
    }

    pub(crate) fn executable(&self) -> &Path {
        &self.executable.0
    }

    /// Whether `executable` is what was looked at, unless it has been written into since. Another file is a copy.
    pub(crate) fn holds_for(&self, executable: &Path) -> bool {
        fs::metadata(executable).is_ok_and(|metadata| {
            let (now, then) = (Identity::from(&metadata), self.executable.1);
            (now.device, now.inode) != (then.device, then.inode)
                || (now.size, now.modified_nanoseconds) == (then.size, then.modified_nanoseconds)
        })
    }

    pub(crate) fn others(&self) -> impl Iterator<Item = &Path> {
        self.others.iter().map(|(path, _)| path.as_path())
    }
}

fn identify(path: PathBuf) -> Result<(PathBuf, Identity), TakeError> {
    match fs::metadata(&path) {
        Ok(metadata) => Ok((path, Identity::from(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TakeError::Missing(path)),
        Err(source) => Err(TakeError::Io { path, source }),
    }
}

/// Where `command` is: a path as it stands, a bare name in `PATH`.
fn resolve(command: &str) -> Result<PathBuf, TakeError> {
    let path = if command.contains('/') {
        PathBuf::from(command)
    } else {
        let search = std::env::var("PATH").unwrap_or_default();
        std::env::split_paths(&search)
            .map(|directory| directory.join(command))
            .find(|candidate| candidate.is_file())
            .ok_or_else(|| TakeError::NotInPath(command.to_owned(), search.clone()))?
    };
    match fs::canonicalize(&path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TakeError::Missing(path)),
        Err(source) => Err(TakeError::Io { path, source }),
    }
}
