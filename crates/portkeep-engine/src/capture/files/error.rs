//! Errors of a release's `files`.

use std::io;
use std::path::PathBuf;

use portkeep_spec::{DiskSize, FilePattern};

/// Why the files of a release cannot be captured. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// `files` without a directory: the spec was never resolved.
    #[error("`files` needs a directory to start at; write it as `filesFrom`")]
    NoDirectory,
    /// It changed while it was captured.
    #[error("{0} is still being written; the next finished write starts a new attempt")]
    Changed(PathBuf),
    /// Their directory does not exist.
    #[error(
        "{0}, which has the `files`, does not exist; make it, or correct `filesFrom` in the spec"
    )]
    Missing(PathBuf),
    /// Their directory is none.
    #[error("{0}, which has the `files`, is not a directory; correct `filesFrom` in the spec")]
    NotADirectory(PathBuf),
    /// A pattern matches nothing.
    #[error(
        "`{pattern}` of `files` leads to nothing in {from}; correct it, or make the files first"
    )]
    Nothing {
        /// The pattern.
        pattern: FilePattern,
        /// Where it starts.
        from: PathBuf,
    },
    /// A pattern leads through a symbolic link.
    #[error(
        "{path} is a symbolic link, through which `{pattern}` of `files` would lead; name the directory that it leads to"
    )]
    ThroughALink {
        /// The link.
        path: PathBuf,
        /// The pattern.
        pattern: FilePattern,
    },
    /// A link out of the directory.
    #[error(
        "{path} is a symbolic link that leads out of {from}, to {target}; put a copy in its place"
    )]
    LeadsOut {
        /// The link.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
        /// The directory that it must not leave.
        from: PathBuf,
    },
    /// A link to a file that the release does not have.
    #[error(
        "{path} is a symbolic link to {target}, which is not one of the `files`; add that to them, or put a copy in its place"
    )]
    LeadsNowhere {
        /// The link.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// Links that lead to each other, or to a directory that contains them.
    #[error(
        "{path} is a symbolic link that leads back to where it is, by {target}: a loop; remove it"
    )]
    Loop {
        /// The link.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// A socket, a device, a FIFO.
    #[error("{path} is {kind}, which no release can bring; leave it out of `files`")]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("the name of {0:?} is not UTF-8; rename it, or leave it out of `files`")]
    NotText(PathBuf),
    /// Their total size is too large.
    #[error(
        "the `files` in {from} have more than {limit} together, {largest} alone {bytes} bytes; leave out what the app does \
         not need, or raise `filesMaxSize`"
    )]
    TooLarge {
        /// Their directory.
        from: PathBuf,
        /// The largest so far.
        largest: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: DiskSize,
    },
    /// There are too many.
    #[error(
        "the `files` in {from} are more than {limit}, most of them in {most}; leave out what the app does not need, or raise \
         `filesMaxCount`"
    )]
    TooMany {
        /// Their directory.
        from: PathBuf,
        /// The directory in which the limit was exceeded.
        most: PathBuf,
        /// The limit.
        limit: u32,
    },
    /// The app's user could not read it.
    #[error(
        "{user}, as whom the app runs, may not read {path} (mode {mode:04o}, owner {owner}, group {group}); give it the right \
         to (`chmod o+r`, for a directory `o+rx`), or leave it out of `files`"
    )]
    NotForApp {
        /// The file.
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
    /// A user who controls its place could not read it: root does not do it for that user.
    #[error(
        "{owner}, who owns {of}, may not read {path}; give {owner} the right to, have {of} belong to root, or leave it out of \
         `files`"
    )]
    NotForOwner {
        /// The file.
        path: PathBuf,
        /// The user who chose it.
        owner: String,
        /// The directory or link that gave that user the choice.
        of: PathBuf,
    },
    /// It could not be looked at or read.
    #[error("cannot read {path}, one of the `files`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// It could not be copied to a place that no build overwrites.
    #[error("cannot copy {path}, one of the `files`, to {to}")]
    Copy {
        /// The file.
        path: PathBuf,
        /// The directory of the new release.
        to: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}
