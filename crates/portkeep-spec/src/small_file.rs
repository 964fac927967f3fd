//! Reads a file whose path somebody else may have chosen: never blocks on it, and never reads more than a limit.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmallFileError {
    /// It cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A directory, a FIFO, a device or a socket.
    #[error("it is {0}, and not a regular file")]
    NotRegular(&'static str),
    /// More than the limit.
    #[error("it is longer than {limit} bytes, the most that is read")]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
}

impl SmallFileError {
    /// The kind of the system's error; `InvalidInput` for a file of another kind or length.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io(error) => error.kind(),
            Self::NotRegular(_) | Self::TooLong { .. } => io::ErrorKind::InvalidInput,
        }
    }
}

/// Reads a regular file, following links, of at most `limit` bytes. A FIFO without a writer and a device that never ends
/// are refused, not waited for.
///
/// # Errors
/// When it cannot be read, is no regular file, or is longer.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, SmallFileError> {
    let file = open_regular(path)?;
    let mut bytes = Vec::new();
    // Its length may have changed by now; the bytes that were read count.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(SmallFileError::TooLong { limit });
    }
    Ok(bytes)
}

/// As [`read`], of UTF-8.
///
/// # Errors
/// As [`read`], and with `InvalidData` when it is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, SmallFileError> {
    String::from_utf8(read(path, limit)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()).into())
}

fn open_regular(path: &Path) -> Result<File, SmallFileError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: OwnedFd = open(path, flags, Mode::empty()).map_err(io::Error::from)?;
    let status = fstat(&file).map_err(io::Error::from)?;
    match FileType::from_raw_mode(status.st_mode as _) {
        FileType::RegularFile => Ok(File::from(file)),
        other => Err(SmallFileError::NotRegular(kind(other))),
    }
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Socket => "a socket",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::CWD;

    use super::*;

    #[test]
    fn what_would_block_or_never_end_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let refused = |path: &Path| read(path, 10).unwrap_err().to_string();
        assert_eq!(refused(&fifo), "it is a FIFO, and not a regular file");
        for device in ["/dev/zero", "/dev/null", "/dev/tty"] {
            let message = refused(Path::new(device));
            // Without a terminal there is no /dev/tty to open.
            assert!(
                message.contains("a device") || device == "/dev/tty",
                "{device}: {message}"
            );
        }
        assert_eq!(
            refused(directory.path()),
            "it is a directory, and not a regular file"
        );
        assert!(refused(&directory.path().join("none")).contains("No such file"));
    }

    #[test]
    fn no_more_than_the_limit_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_text(&path, 10).unwrap(), "0123456789");
        assert_eq!(
            read(&path, 9).unwrap_err().to_string(),
            "it is longer than 9 bytes, the most that is read"
        );
        let huge = directory.path().join("sparse");
        fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(
            read(&huge, 10),
            Err(SmallFileError::TooLong { limit: 10 })
        ));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link, 10).unwrap().len(), 10);
        fs::write(&path, [0xff]).unwrap();
        assert!(matches!(read_text(&path, 10), Err(SmallFileError::Io(_))));
    }
}
