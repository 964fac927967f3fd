//! Unix sockets of ours that only their owner may connect to.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::store::PRIVATE;

/// Binds a socket to `path`, in place of what a predecessor left there. Nobody but its owner may connect to it (mode 0600),
/// whatever the umask, and not for a moment. It does not block.
///
/// The directory is trusted, and its lock says that the predecessor is gone.
///
/// # Errors
/// What the system says of it; the path is too long for a socket, for one.
pub fn bind_private(path: &Path, kind: Type) -> io::Result<Socket> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    // Linux makes the file with the mode of the socket; elsewhere it gets it below.
    let _ = fchmod(&socket, Mode::RUSR | Mode::WUSR);
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(PRIVATE))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn only_its_owner_may_connect_and_what_was_there_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        for kind in [Type::STREAM, Type::DGRAM, Type::SEQPACKET] {
            let socket = bind_private(&path, kind).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, PRIVATE);
            assert!(socket.nonblocking().unwrap());
        }
        let long = directory.path().join("x".repeat(120));
        assert!(bind_private(&long, Type::STREAM).is_err());
    }
}
