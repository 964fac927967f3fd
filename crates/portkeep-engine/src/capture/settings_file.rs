//! State of files that systemd reads for a generation, without reading endless ones.

use std::io::{self, Read};
use std::path::Path;

use super::CaptureError;
use super::found_file::{FoundFile, reopen};

/// systemd's limit for a credential. A larger file is identified by its size and times.
const LARGEST: u64 = 1 << 20;

/// The state of an environment file. If it cannot be read here, systemd will report that.
///
/// # Errors
/// When it is no regular file: whoever reads it would wait for ever, or read without an end.
pub(super) fn environment(path: &Path) -> Result<String, CaptureError> {
    let Ok(found) = FoundFile::at(path) else {
        return Ok(String::new());
    };
    if !found.is_regular() {
        return Err(found.not_a_file());
    }
    Ok(state(&found))
}

/// The state of a credential. Sockets and directories are not read: systemd asks the one and copies the other.
pub(super) fn credential(path: &Path) -> String {
    FoundFile::at(path).map_or_else(|_| String::new(), |found| state(&found))
}

fn state(found: &FoundFile) -> String {
    match contents(found) {
        Ok(Some(digest)) => digest.to_hex().to_string(),
        Ok(None) => found.identity().to_string(),
        Err(_) => String::new(),
    }
}

/// None for a file that must not be read.
fn contents(found: &FoundFile) -> io::Result<Option<blake3::Hash>> {
    if !found.is_regular() || found.size() > LARGEST {
        return Ok(None);
    }
    let mut contents = Vec::new();
    let file = reopen(found.descriptor())?;
    file.take(LARGEST + 1).read_to_end(&mut contents)?;
    Ok((contents.len() as u64 <= LARGEST).then(|| blake3::hash(&contents)))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_change_is_noticed_whatever_the_size() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(environment(&path).unwrap(), "");
        let mut seen = vec![String::new()];
        for size in [0, 1, 100, LARGEST - 1, LARGEST, LARGEST + 1, 3 << 40] {
            File::create(&path).unwrap().set_len(size).unwrap();
            let state = environment(&path).unwrap();
            assert_eq!(state, credential(&path));
            assert!(!seen.contains(&state), "{size}");
            seen.push(state);
        }
        fs::write(&path, "A=1").unwrap();
        let before = credential(&path);
        fs::write(&path, "A=2").unwrap();
        assert_ne!(credential(&path), before);
    }

    #[test]
    fn what_has_no_end_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let socket = directory.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        for (path, kind) in [
            (fifo.as_path(), "a FIFO"),
            (Path::new("/dev/zero"), "a device"),
            (&socket, "a socket"),
            (directory.path(), "a directory"),
        ] {
            let error = environment(path).unwrap_err().to_string();
            assert!(
                error.contains(kind) && error.contains(&path.display().to_string()),
                "{error}"
            );
            assert!(!credential(path).is_empty());
        }
    }
}
