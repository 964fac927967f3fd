//! Errors of a capture.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::files::FilesError;
use super::found_file::LARGEST;

/// Why no release can be captured. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The spec's `exec` is empty.
    #[error("`exec` is empty: name the executable of the app")]
    NoCommand,
    /// There is no such file.
    #[error("the executable {0} does not exist; build it first, or correct the spec")]
    Missing(PathBuf),
    /// A bare name is in no directory of `PATH`.
    #[error("no executable `{0}` in PATH ({1}); write its absolute path in the spec")]
    NotInPath(String, String),
    /// It is a directory, a device or similar. Nothing was read from it.
    #[error("{path} is not a regular file but {kind}; correct the spec")]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// The execute bit is missing.
    #[error("{0} is not executable; `chmod +x` it, or correct the spec")]
    NotExecutable(PathBuf),
    /// It has no contents.
    #[error("{0} is empty: it is still being written, or its build failed")]
    Empty(PathBuf),
    /// It is larger than any program. A sparse file counts with its holes.
    #[error(
        "{path} has {bytes} bytes; a file of a release may have {} GiB at most",
        LARGEST >> 30
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// It changed during each attempt to read it.
    #[error("{0} is still being written; the next finished write starts a new attempt")]
    StillBeingWritten(PathBuf),
    /// Its disk or network is too slow.
    #[error(
        "{path} could not be read within {} s; move it to a faster disk, or free this one", .limit.as_secs()
    )]
    TooSlow {
        /// The file.
        path: PathBuf,
        /// The time limit.
        limit: Duration,
    },
    /// A user who controls where the path leads could not read or execute it: root does not do it for that user.
    #[error(transparent)]
    NotForOwner(Box<NotForOwner>),
    /// The rights of the user who chose the file cannot be taken on.
    #[error("cannot look at {path} with the rights of {user}, who chose it: {source}")]
    Rights {
        /// The file to run.
        path: PathBuf,
        /// The user.
        user: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The app's user could not execute it.
    #[error(
        "{user}, as whom the app runs, may not execute {path} (mode {mode:04o}, owner {owner}, group {group}); \
         `chmod o+rx` it, or name a user in `allow.user` who may"
    )]
    NotForApp {
        /// The file to run.
        path: PathBuf,
        /// The app's user.
        user: String,
        /// Its mode.
        mode: u32,
        /// Its owner.
        owner: String,
        /// Its group.
        group: String,
    },
    /// It would run in place, but the sandbox hides home directories from the app.
    #[error(
        "{0} is an interpreter, or is named by a symbolic link, and so runs where it is; but the sandbox hides it: \
         say `\"home\": \"read-only\"` in `allow` (and a `user`), or install it outside of home directories"
    )]
    Hidden(PathBuf),
    /// It could not be copied to a place that no build overwrites.
    #[error("cannot copy {from} to {to}")]
    Copy {
        /// The executable.
        from: PathBuf,
        /// The directory of the releases.
        to: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The files of the release cannot be captured.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Reading failed.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// Why root does not capture a file for another user.
#[derive(Debug, thiserror::Error)]
#[error(
    "{owner}, who owns {of}, may not read and execute {path}: {at} has mode {mode:04o}, owner {at_owner}, group {at_group}; \
     give {owner} the right to it, or have {of} belong to root"
)]
pub struct NotForOwner {
    /// The file to run.
    pub path: PathBuf,
    /// The user who chose it.
    pub owner: String,
    /// The directory or link that gave that user the choice.
    pub of: PathBuf,
    /// The file or directory that this user may not use.
    pub at: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub at_owner: String,
    /// Its group.
    pub at_group: String,
}
