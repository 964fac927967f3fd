//! Takes over the passed descriptors, all of them and once: what stays behind would be
//! inherited by every child process of the app.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};

use listenfd::ListenFd;
use socket2::{Domain, SockRef, Type};

use super::env::{self, Environment};
use super::{ListenError, SocketInfo, SocketKind};

/// A passed socket that nobody has taken yet.
#[derive(Debug)]
pub(super) enum Adopted {
    Tcp(TcpListener),
    Unix(UnixListener),
    Udp(UdpSocket),
    UnixDatagram(UnixDatagram),
    UnixSeqpacket(OwnedFd),
}

/// A place in the list of passed sockets. It stays when its socket is taken.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) info: SocketInfo,
    pub(super) socket: Option<Adopted>,
}

/// Adopts every descriptor that was passed to this process and makes it non-blocking.
pub(super) fn from_env() -> Result<Vec<Slot>, ListenError> {
    // Variables that are not UTF-8 cannot be ours.
    let environment: Environment = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    // The names first: the next step takes LISTEN_FDS and LISTEN_PID out of the environment.
    let names = env::passed(&environment, std::process::id())?;
    let mut fds = ListenFd::from_env();

    let mut slots = Vec::with_capacity(names.len());
    for (index, name) in names.into_iter().enumerate() {
        let (kind, socket) = take(&mut fds, index);
        let info = SocketInfo {
            index,
            name,
            kind,
            address: socket.as_ref().map(Adopted::address).unwrap_or_default(),
            taken: false,
        };
        if let Some(socket) = &socket {
            // The flag belongs to the open file, which all generations share. It has to be
            // the same in all of them, and an async runtime needs it set.
            if let Err(source) = socket.set_nonblocking() {
                return Err(ListenError::Adopt {
                    socket: info,
                    source,
                });
            }
        }
        slots.push(Slot { info, socket });
    }
    Ok(slots)
}

fn take(fds: &mut ListenFd, index: usize) -> (SocketKind, Option<Adopted>) {
    if let Ok(Some(socket)) = fds.take_tcp_listener(index) {
        return match SockRef::from(&socket).is_listener() {
            Ok(true) => (SocketKind::TcpListener, Some(Adopted::Tcp(socket))),
            _ => (SocketKind::Connection, None),
        };
    }
    if let Ok(Some(socket)) = fds.take_unix_listener(index) {
        return match SockRef::from(&socket).is_listener() {
            Ok(true) => (SocketKind::UnixListener, Some(Adopted::Unix(socket))),
            _ => (SocketKind::Connection, None),
        };
    }
    if let Ok(Some(socket)) = fds.take_udp_socket(index) {
        return (SocketKind::Udp, Some(Adopted::Udp(socket)));
    }
    if let Ok(Some(socket)) = fds.take_unix_datagram(index) {
        return (
            SocketKind::UnixDatagram,
            Some(Adopted::UnixDatagram(socket)),
        );
    }
    let (unix, seqpacket) = (Domain::UNIX.into(), Type::SEQPACKET.into());
    if let Ok(Some(socket)) = fds.take_custom(index, unix, seqpacket, "unix seqpacket socket") {
        return (
            SocketKind::UnixSeqpacket,
            Some(Adopted::UnixSeqpacket(socket)),
        );
    }
    (SocketKind::Other, None)
}

impl Adopted {
    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(true),
            Self::Unix(socket) => socket.set_nonblocking(true),
            Self::Udp(socket) => socket.set_nonblocking(true),
            Self::UnixDatagram(socket) => socket.set_nonblocking(true),
            Self::UnixSeqpacket(socket) => SockRef::from(socket).set_nonblocking(true),
        }
    }

    fn address(&self) -> String {
        let unix = |address: io::Result<std::os::unix::net::SocketAddr>| {
            address
                .ok()
                .and_then(|address| Some(address.as_pathname()?.display().to_string()))
        };
        match self {
            Self::Tcp(socket) => socket.local_addr().ok().map(|address| address.to_string()),
            Self::Udp(socket) => socket.local_addr().ok().map(|address| address.to_string()),
            Self::Unix(socket) => unix(socket.local_addr()),
            Self::UnixDatagram(socket) => unix(socket.local_addr()),
            Self::UnixSeqpacket(_) => None,
        }
        .unwrap_or_default()
    }
}
