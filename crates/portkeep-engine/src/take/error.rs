//! Why there is nothing to start.

use std::io;
use std::path::PathBuf;

/// Why there is no release to take. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeError {
    /// The spec's `exec` is empty.
    #[error("`exec` is empty: name the executable of the app")]
    NoCommand,
    /// There is no such file.
    #[error("the executable {0} does not exist; build it first, or correct `exec` in the spec")]
    Missing(PathBuf),
    /// A bare name is in no directory of `PATH`.
    #[error("no executable `{0}` in PATH ({1}); write its absolute path in `exec`")]
    NotInPath(String, String),
    /// It is a directory, a device or the like.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// The execute bit is missing.
    #[error("{0} is not executable; `chmod +x` it, or correct `exec` in the spec")]
    NotExecutable(PathBuf),
    /// It has no contents.
    #[error("{0} is empty: it is still being written, or its build failed")]
    Empty(PathBuf),
    /// It changed while it was read, again and again.
    #[error("{0} is still being written; the next finished write starts a new attempt")]
    StillBeingWritten(PathBuf),
    /// It could not be copied to where no build overwrites it.
    #[error("cannot copy {from} to {to}")]
    Copy {
        /// The executable.
        from: PathBuf,
        /// Where the releases are.
        to: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Reading failed.
    #[error("cannot read {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
