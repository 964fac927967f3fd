//! Errors of a capture.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::files::FilesError;
use super::found_file::LARGEST;

/// Why there is no release to take. Nothing was changed.
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
    /// It is a directory, a device or the like. Nothing was read from it.
    #[error("{path} is not a regular file but {kind}; correct the spec")]
    NotAFile {
        /// What was named.
        path: PathBuf,
        /// What it is.
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
        /// Which file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// It changed while it was read, again and again.
    #[error("{0} is still being written; the next finished write starts a new attempt")]
    StillBeingWritten(PathBuf),
    /// The disk or the network that it is on is too slow.
    #[error(
        "{path} could not be read within {} s; move it to a faster disk, or free this one", .limit.as_secs()
    )]
    TooSlow {
        /// Which file.
        path: PathBuf,
        /// How long it was tried.
        limit: Duration,
    },
    /// Whoever decides where the path leads could not read or execute it: root does not do it for him.
    #[error(transparent)]
    NotForOwner(Box<NotForOwner>),
    /// The rights of whoever chose the file cannot be taken.
    #[error("cannot look at {path} with the rights of {user}, who chose it: {source}")]
    Rights {
        /// What is to be run.
        path: PathBuf,
        /// Who chose it.
        user: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The app's user could not execute it.
    #[error(
        "{user}, as whom the app runs, may not execute {path} (mode {mode:04o}, owner {owner}, group {group}); \
         `chmod o+rx` it, or name a user in `allow.user` who may"
    )]
    NotForApp {
        /// What is to be run.
        path: PathBuf,
        /// Who runs it.
        user: String,
        /// Its mode.
        mode: u32,
        /// Its owner.
        owner: String,
        /// Its group.
        group: String,
    },
    /// It would run where it is, and the sandbox shows the app no home directories.
    #[error(
        "{0} is an interpreter, or is named by a symbolic link, and so runs where it is; but the sandbox hides it: \
         say `\"home\": \"read-only\"` in `allow` (and a `user`), or install it outside of home directories"
    )]
    Hidden(PathBuf),
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
    /// The files that the release is to bring along cannot be.
    #[error(transparent)]
    Files(#[from] FilesError),
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

/// Why root does not capture a file for somebody else.
#[derive(Debug, thiserror::Error)]
#[error(
    "{owner}, who owns {of}, may not read and execute {path}: {at} has mode {mode:04o}, owner {at_owner}, group {at_group}; \
     give {owner} the right to it, or have {of} belong to root"
)]
pub struct NotForOwner {
    /// What is to be run.
    pub path: PathBuf,
    /// Who chose it.
    pub owner: String,
    /// The directory or link by which he did.
    pub of: PathBuf,
    /// What he may not use.
    pub at: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub at_owner: String,
    /// Its group.
    pub at_group: String,
}
