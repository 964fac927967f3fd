//! Opens sockets to find out what /proc does not tell of a port. None of these sockets ever listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use super::reach::Stack;

/// Loopback addresses that hardly anybody uses.
const ODD: [Ipv4Addr; 2] = [
    Ipv4Addr::new(127, 143, 211, 87),
    Ipv4Addr::new(127, 211, 87, 143),
];

/// Whether a socket can be bound to this address, beside all that there are; `None` where it cannot be told: the address
/// is not here, or the port is only root's.
pub(super) fn can_be_bound(address: SocketAddr, kind: SocketType) -> Option<bool> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).ok()?;
    if kind == SocketType::STREAM {
        // What merely ends (TIME_WAIT) is in nobody's way, as systemd opens sockets; and whoever listens is all the same.
        sockopt::set_socket_reuseaddr(&socket, true).ok()?;
    }
    match bind(&socket, &address) {
        Ok(()) => Some(true),
        Err(Errno::ADDRINUSE) => Some(false),
        Err(_) => None,
    }
}

/// Whether the socket on `[::]:PORT` takes IPv4 too, where `v4` are all IPv4 addresses with a socket on that port.
pub(super) fn stack(port: u16, kind: SocketType, v4: &[Ipv4Addr]) -> Stack {
    // Both on all of IPv4 cannot be.
    if v4.iter().any(Ipv4Addr::is_unspecified) {
        return Stack::Ipv6Only;
    }
    let free = ODD.into_iter().find(|address| !v4.contains(address));
    let bound = free.and_then(|ip| can_be_bound(SocketAddr::new(IpAddr::V4(ip), port), kind));
    // Where it cannot be tried: what sockets are that nobody has set otherwise.
    if bound == Some(true) {
        Stack::Ipv6Only
    } else {
        Stack::Both
    }
}
