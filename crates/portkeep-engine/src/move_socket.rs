//! Owner of the move socket: the user of the generation that drains may connect to it.
//!
//! Nobody else may connect, because that starts a stopped app, and makes the current generation check the peer. The socket
//! is open long before a generation runs, and systemd's user for an app exists only while one runs. So root owns the file
//! at first (or the user of a user's manager), and gives it away before a generation is told to drain.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use portkeep_spec::{SocketMode, contract};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Uid, chmod, chownat, fstat, open};

/// Gives the move socket in an app's runtime directory to `user`, and closes it to everybody else. `None` leaves it to its
/// owner: root, or the user of a user's manager. Not every app has such a socket.
///
/// # Errors
/// When it cannot be given away. Connections are drained then, and not moved.
pub fn give_to(run_directory: &Path, user: Option<u32>) -> io::Result<()> {
    let path = run_directory.join(contract::MOVE_FILE);
    // Only the manager's user can write to the directory. All the same: this file, whatever its name leads to later.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match open(&path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let status = fstat(&file)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Socket {
        let problem = format!("{} is no socket", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    let mode = Mode::from_raw_mode(SocketMode::USER.bits());
    if Mode::from_raw_mode(status.st_mode) != mode {
        chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), mode)?;
    }
    if let Some(user) = user.filter(|user| *user != status.st_uid) {
        chownat(
            &file,
            "",
            Some(Uid::from_raw(user)),
            None,
            AtFlags::EMPTY_PATH,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn it_is_closed_to_others_and_given_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("move");
        let _listener = UnixListener::bind(&path).unwrap();
        // As the last version made it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        give_to(directory.path(), None).unwrap();
        let own = nix::unistd::geteuid().as_raw();
        let look = || {
            let metadata = fs::symlink_metadata(&path).unwrap();
            (metadata.uid(), metadata.permissions().mode() & 0o7777)
        };
        assert_eq!(look(), (own, 0o600));
        give_to(directory.path(), Some(own)).unwrap();
        let given = give_to(directory.path(), Some(own + 4711));
        if own == 0 {
            given.unwrap();
            assert_eq!(look(), (4711, 0o600));
        } else {
            assert_eq!(given.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert_eq!(look(), (own, 0o600));
        }
    }

    #[test]
    fn nothing_else_is_given_away() {
        let directory = tempfile::tempdir().unwrap();
        give_to(directory.path(), Some(1)).unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        symlink(&file, directory.path().join("move")).unwrap();
        let owner = || fs::symlink_metadata(&file).unwrap().uid();
        let before = owner();
        let error = give_to(directory.path(), Some(before + 1)).unwrap_err();
        assert!(error.to_string().contains("is no socket"), "{error}");
        assert_eq!(owner(), before);
    }
}
