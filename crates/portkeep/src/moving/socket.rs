//! Move socket, over which connections move. systemd passes it to this process.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use portkeep_contract::MOVE_SOCKET;
use rustix::net::{SocketAddrUnix, getsockname};
use socket2::SockRef;
use tokio::net::{UnixListener, UnixStream};

use super::taken::Taken;
use crate::listen::{Sockets, Which};

/// A listening socket that systemd passes to all generations. The current one accepts from it; a draining one connects to
/// it.
#[derive(Debug)]
pub(crate) struct MoveSocket {
    /// The runtime has no type for these. Its type for streams accepts from any Unix socket.
    listener: UnixListener,
    address: SocketAddrUnix,
    pub(super) taken: Arc<Taken>,
}

impl MoveSocket {
    /// Takes it from the passed sockets. Without it, or if it is of another kind, connections are drained and not moved.
    pub(crate) fn open() -> Option<Self> {
        let sockets = Sockets::from_env().ok()?;
        let name = Which::from(MOVE_SOCKET);
        sockets.list().iter().find(|socket| socket.is(&name))?;
        let opened = match sockets.unix_seqpacket(name) {
            Ok(socket) => Self::new(socket),
            Err(error) => Err(io::Error::other(error)),
        };
        opened
            .inspect_err(|error| {
                tracing::warn!(%error, socket = MOVE_SOCKET, "connections cannot be moved");
            })
            .ok()
    }

    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        if !SockRef::from(&socket).is_listener()? {
            return Err(io::Error::other("it does not listen"));
        }
        SockRef::from(&socket).set_nonblocking(true)?;
        let address = SocketAddrUnix::try_from(getsockname(&socket)?)?;
        Ok(Self {
            listener: UnixListener::from_std(socket.into())?,
            address,
            taken: Arc::default(),
        })
    }

    /// The address of the next generation.
    pub(crate) fn address(&self) -> SocketAddrUnix {
        self.address.clone()
    }

    /// A connection of an old generation that wants to move connections.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}
