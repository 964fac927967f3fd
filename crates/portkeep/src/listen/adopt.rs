//! Adopts all passed descriptors at once: every child process of the app would inherit one that is left out.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener};

use socket2::{Domain, SockRef, Type};

use super::descriptors;
use super::env::{self, Environment};
use super::{ListenError, SocketInfo, SocketKind};

/// A passed socket that has not been taken.
#[derive(Debug)]
pub(super) enum Adopted {
    Tcp(TcpListener),
    Unix(UnixListener),
    Udp(UdpSocket),
    UnixDatagram(UnixDatagram),
    UnixSeqpacket(OwnedFd),
    /// A descriptor that cannot be used here. It stays open, for an app that knows its number.
    Other(#[expect(dead_code, reason = "it is held, not read")] OwnedFd),
}

/// An entry in the list of passed sockets. It stays after its socket is taken.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) info: SocketInfo,
    pub(super) socket: Option<Adopted>,
}

/// Adopts every descriptor that was passed to this process and makes it non-blocking. The environment is not changed,
/// because other threads may be reading it.
pub(super) fn from_env() -> Result<Vec<Slot>, ListenError> {
    // The variables for sockets are always UTF-8.
    let environment: Environment = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let own = env::Process {
        id: std::process::id(),
        pidfd_inode: &descriptors::own_pidfd_inode,
    };
    let passed = env::passed(&environment, &own)?;
    let numbers = i32::from(passed.first)..;
    let slots = numbers.zip(passed.names).enumerate();
    slots
        .map(|(index, (number, name))| slot(index, number, name))
        .collect()
}

fn slot(index: usize, number: RawFd, name: Option<String>) -> Result<Slot, ListenError> {
    let (kind, socket) = match descriptors::take(number) {
        Ok(descriptor) => recognise(descriptor),
        Err(_) => (SocketKind::Other, None),
    };
    let info = SocketInfo {
        index,
        name,
        kind,
        address: socket.as_ref().map(Adopted::address).unwrap_or_default(),
        taken: false,
    };
    if let Some(socket) = &socket {
        // The flag belongs to the open file, which all generations share. It has to be set in all of them, and an async
        // runtime needs it.
        if let Err(source) = socket.set_nonblocking() {
            return Err(ListenError::Adopt {
                socket: info,
                source,
            });
        }
    }
    Ok(Slot { info, socket })
}

fn recognise(descriptor: OwnedFd) -> (SocketKind, Option<Adopted>) {
    let (kind, socket) = match kind(&descriptor) {
        Some(kind @ SocketKind::TcpListener) => (kind, Adopted::Tcp(descriptor.into())),
        Some(kind @ SocketKind::UnixListener) => (kind, Adopted::Unix(descriptor.into())),
        Some(kind @ SocketKind::Udp) => (kind, Adopted::Udp(descriptor.into())),
        Some(kind @ SocketKind::UnixDatagram) => (kind, Adopted::UnixDatagram(descriptor.into())),
        Some(kind @ SocketKind::UnixSeqpacket) => (kind, Adopted::UnixSeqpacket(descriptor)),
        kind => (
            kind.unwrap_or(SocketKind::Other),
            Adopted::Other(descriptor),
        ),
    };
    (kind, Some(socket))
}

/// The kind of a descriptor; `None` if it is no socket, or of no use here.
fn kind(descriptor: &OwnedFd) -> Option<SocketKind> {
    let socket = SockRef::from(descriptor);
    let family = Domain::from(i32::from(socket.local_addr().ok()?.family()));
    let kind = socket.r#type().ok()?;
    let is_inet = family == Domain::IPV4 || family == Domain::IPV6;
    let is_unix = family == Domain::UNIX;
    if kind == Type::STREAM && (is_inet || is_unix) {
        return Some(match socket.is_listener() {
            Ok(true) if is_inet => SocketKind::TcpListener,
            Ok(true) => SocketKind::UnixListener,
            _ => SocketKind::Connection,
        });
    }
    match kind {
        Type::DGRAM if is_inet => Some(SocketKind::Udp),
        Type::DGRAM if is_unix => Some(SocketKind::UnixDatagram),
        Type::SEQPACKET if is_unix => Some(SocketKind::UnixSeqpacket),
        _ => None,
    }
}

impl Adopted {
    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(true),
            Self::Unix(socket) => socket.set_nonblocking(true),
            Self::Udp(socket) => socket.set_nonblocking(true),
            Self::UnixDatagram(socket) => socket.set_nonblocking(true),
            Self::UnixSeqpacket(socket) => SockRef::from(socket).set_nonblocking(true),
            Self::Other(_) => Ok(()),
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
            Self::UnixSeqpacket(_) | Self::Other(_) => None,
        }
        .unwrap_or_default()
    }
}
