//! Unix sockets of portkeep that only their owner may connect to.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::store::PRIVATE;

/// Number of clients that may wait: a person and a few tools.
const BACKLOG: i32 = 128;

/// Binds a socket to `path`, and replaces a predecessor's. Only its owner may ever connect to it (mode 0600), whatever the
/// umask. It does not block.
///
/// The directory is trusted, and the caller's lock proves that the predecessor is gone.
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
    // Linux creates the file with the mode of the socket; elsewhere the mode is set below.
    let _ = fchmod(&socket, Mode::RUSR | Mode::WUSR);
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(PRIVATE))?;
    Ok(socket)
}

/// Listens on `path` as [`bind_private`] binds.
///
/// # Errors
/// What the system says of it.
pub fn listen_private(path: &Path) -> io::Result<UnixListener> {
    let socket = bind_private(path, Type::STREAM)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether the process at the other end has our own user: the listener, or the client.
///
/// # Errors
/// When the kernel does not say it.
#[cfg(target_os = "linux")]
pub fn is_own_peer(socket: impl AsFd) -> io::Result<bool> {
    let peer = rustix::net::sockopt::socket_peercred(socket)?;
    Ok(peer.uid == rustix::process::geteuid())
}

/// Without that system call, the mode of the file has to be enough.
#[cfg(not(target_os = "linux"))]
pub fn is_own_peer(_socket: impl AsFd) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

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
        let listener = listen_private(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        assert!(is_own_peer(&client).unwrap());
        listener.set_nonblocking(false).unwrap();
        assert!(is_own_peer(listener.accept().unwrap().0).unwrap());
        let long = directory.path().join("x".repeat(120));
        assert!(bind_private(&long, Type::STREAM).is_err());
    }
}
