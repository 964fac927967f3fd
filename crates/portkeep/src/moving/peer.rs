//! Decides who may ask to move connections.

use std::io;

use tokio::net::UnixStream;

/// The peer has to be the same user: its connections are served as if they had been accepted here. The socket's file
/// decides as well, but units of other origin may leave it open to everybody.
pub(super) fn check(socket: &UnixStream) -> io::Result<()> {
    let peer = socket.peer_cred()?.uid();
    let own = rustix::process::geteuid().as_raw();
    if is_one_user(peer, own) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("user {peer} is not {own}"),
    ))
}

/// The kernel's overflow user, which also stands for every user that this user namespace does not know.
const NOBODY: u32 = 65534;

fn is_one_user(peer: u32, own: u32) -> bool {
    peer == own && peer != NOBODY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_not_known_to_be_the_same() {
        assert!(is_one_user(1000, 1000));
        assert!(is_one_user(0, 0));
        assert!(!is_one_user(0, 1000));
        assert!(!is_one_user(NOBODY, NOBODY));
    }
}
