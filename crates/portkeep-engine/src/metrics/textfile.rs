//! File for node_exporter's textfile collector.
//!
//! The directory often belongs to the collector's own user (`/var/lib/prometheus/node-exporter` on Debian). Root does not
//! write into a directory that somebody else controls: there, a process of that user writes, who could do the same without
//! it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portkeep_spec::Manager as Which;
use rustix::process::{geteuid, getuid};

use crate::directories::{Untrusted, check_trusted, check_trusted_for};
use crate::store::atomic_write;

/// Readable for the collector.
const READABLE: u32 = 0o644;

/// Why the file cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextfileError {
    /// The directory is missing.
    #[error(
        "{} is not there; make it, or name the directory that node_exporter reads (--collector.textfile.directory)", .0.display()
    )]
    Missing(PathBuf),
    /// It is no directory.
    #[error("{} is no directory; name the one that node_exporter reads (--collector.textfile.directory)", .0.display())]
    NotADirectory(PathBuf),
    /// It is relative, and a unit has another working directory.
    #[error("{} is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// Users other than its owner could write there.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The system refuses to look at or write it.
    #[error("cannot write into {}: {source}", .path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The process of its owner failed.
    #[error("{} belongs to another user, and a process of that user's could not write there: {said}", .path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// Its message.
        said: String,
    },
}

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Us,
    Owner { user: u32, group: u32 },
}

/// The name of the file: node_exporter reads all that end so, and two managers must not overwrite each other's.
#[must_use]
pub fn file_name(which: Which) -> String {
    match which {
        Which::System => "portkeep.prom".to_owned(),
        Which::User => format!("portkeep-{}.prom", getuid().as_raw()),
    }
}

/// Checks that a file can be written there. Changes nothing.
///
/// # Errors
/// When it is missing, no directory, or others than its owner could write there.
pub fn check_directory(directory: &Path) -> Result<(), TextfileError> {
    writer(directory).map(drop)
}

fn writer(directory: &Path) -> Result<Writer, TextfileError> {
    if !directory.is_absolute() {
        return Err(TextfileError::Relative(directory.to_owned()));
    }
    let metadata = match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(TextfileError::Missing(directory.to_owned()));
        }
        other => other.map_err(|source| failed(directory, source))?,
    };
    if !metadata.is_dir() {
        return Err(TextfileError::NotADirectory(directory.to_owned()));
    }
    match check_trusted(directory) {
        Ok(()) => Ok(Writer::Us),
        Err(untrusted) if !geteuid().is_root() || metadata.uid() == 0 => Err(untrusted.into()),
        Err(_) => {
            // Only the owner can change the path from the root down: nobody else can lead him elsewhere.
            check_trusted_for(directory, metadata.uid())?;
            Ok(Writer::Owner {
                user: metadata.uid(),
                group: metadata.gid(),
            })
        }
    }
}

/// Replaces the whole file: a reader sees the old text or the new one.
///
/// # Errors
/// As [`check_directory`], and when it cannot be written.
pub fn write(directory: &Path, name: &str, text: &str) -> Result<(), TextfileError> {
    match writer(directory)? {
        Writer::Us => replace(directory, name, text),
        Writer::Owner { user, group } => hand_to(directory, name, text, user, group),
    }
}

/// Writes in a process that [`write()`] has started as the owner of the directory.
///
/// # Errors
/// When it is not ours, and when it cannot be written.
pub fn write_as_owner(directory: &Path, name: &str, text: &str) -> Result<(), TextfileError> {
    check_trusted(directory)?;
    replace(directory, name, text)
}

fn replace(directory: &Path, name: &str, text: &str) -> Result<(), TextfileError> {
    let path = directory.join(name);
    atomic_write(&path, text.as_bytes(), READABLE).map_err(|source| failed(directory, source))
}

fn failed(directory: &Path, source: io::Error) -> TextfileError {
    TextfileError::Io {
        path: directory.to_owned(),
        source,
    }
}

/// Has this program write as another user, who gets the text and nothing else of ours.
fn hand_to(
    directory: &Path,
    name: &str,
    text: &str,
    user: u32,
    group: u32,
) -> Result<(), TextfileError> {
    let fail = |source| failed(directory, source);
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["handle", "textfile", name, "--directory"])
        .arg(directory)
        .env_clear()
        .current_dir("/")
        .uid(user)
        .gid(group)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(fail)?;
    let mut input = child.stdin.take();
    // A process that ends early says why.
    let _ = input
        .as_mut()
        .map_or(Ok(()), |input| input.write_all(text.as_bytes()));
    drop(input);
    let output = child.wait_with_output().map_err(fail)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(TextfileError::Owner {
        path: directory.to_owned(),
        said: match said.is_empty() {
            true => output.status.to_string(),
            false => said,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// A user other than the test's.
    const OTHER: u32 = 4242;

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        mode(directory.path(), 0o755);
        directory
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_missing_or_none_is_named() {
        let root = directory();
        let missing = root.path().join("gone");
        let said = check_directory(&missing).unwrap_err().to_string();
        assert!(said.contains("gone is not there"), "{said}");
        fs::write(&missing, "").unwrap();
        let said = check_directory(&missing).unwrap_err().to_string();
        assert!(said.contains("is no directory"), "{said}");
        let said = check_directory(Path::new("a")).unwrap_err().to_string();
        assert!(said.contains("absolute"), "{said}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_text_takes_the_place_of_the_one_before_and_follows_no_link() {
        let root = directory();
        let victim = root.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, root.path().join("portkeep.prom")).unwrap();
        for text in ["one", "two"] {
            write(root.path(), "portkeep.prom", text).unwrap();
            let path = root.path().join("portkeep.prom");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, READABLE);
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(
            fs::read_dir(root.path()).unwrap().count(),
            2,
            "a file is left"
        );
    }

    #[test]
    fn where_everybody_writes_nothing_is_written() {
        let root = directory();
        mode(root.path(), 0o777);
        let said = write(root.path(), "portkeep.prom", "x").unwrap_err();
        assert!(said.to_string().contains("everybody"), "{said}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn another_users_directory_is_written_by_that_user() {
        if !geteuid().is_root() {
            return;
        }
        let root = directory();
        let theirs = root.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        chown(&theirs, Some(OTHER), Some(OTHER)).unwrap();
        let owner = Writer::Owner {
            user: OTHER,
            group: OTHER,
        };
        assert_eq!(writer(&theirs).unwrap(), owner);
        // A third user who could lead him elsewhere.
        let above = root.path().join("above");
        fs::create_dir_all(above.join("inner")).unwrap();
        chown(&above, Some(OTHER + 1), None).unwrap();
        chown(above.join("inner"), Some(OTHER), None).unwrap();
        assert!(matches!(
            writer(&above.join("inner")),
            Err(TextfileError::Untrusted(_))
        ));
        // Root's own directory, which others may write.
        mode(&theirs, 0o777);
        assert!(writer(&theirs).is_err());
    }
}
