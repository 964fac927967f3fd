//! Address of a socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Address of a socket. `Display` writes it as systemd's `Listen…=` takes it (before escaping).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix stream socket at an absolute path.
    UnixStream(PathBuf),
    /// UDP.
    Udp(SocketAddr),
    /// A Unix datagram socket at an absolute path.
    UnixDatagram(PathBuf),
    /// A Unix socket that preserves message boundaries, at an absolute path.
    UnixSeqpacket(PathBuf),
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The text is empty.
    #[error(
        "an address is needed, but this is empty; write for example \"127.0.0.1:8080\" or \"/run/hello.sock\""
    )]
    Empty,
    /// A port alone does not say who may connect.
    #[error(
        "{0:?} is only a port; write \"127.0.0.1:{0}\" to be reached from this machine only, \
         or \"0.0.0.0:{0}\" (IPv4) or \"[::]:{0}\" (IPv4 and IPv6) to be reached from everywhere"
    )]
    OnlyPort(String),
    /// An address without a port.
    #[error("{0:?} has no port; write it like \"127.0.0.1:8080\" or \"[::1]:8080\"")]
    NoPort(String),
    /// Port 0 would change at each start.
    #[error("{0:?} has port 0; write the port that clients are to connect to, 1 to 65535")]
    PortZero(String),
    /// Not a port number.
    #[error("{text:?} has the port {port:?}; ports are numbers from 1 to 65535")]
    Port {
        /// The whole address.
        text: String,
        /// The part that should be the port.
        port: String,
    },
    /// A name instead of an IP address.
    #[error(
        "{text:?} names the host {host:?}, but systemd listens on IP addresses only; \
         write for example \"127.0.0.1:{port}\" or \"[::1]:{port}\""
    )]
    HostName {
        /// The whole address.
        text: String,
        /// The part that should be the IP address.
        host: String,
        /// The port.
        port: u16,
    },
    /// An abstract Unix socket.
    #[error(
        "{0:?} is an abstract socket, which every user of this machine may connect to; write a path like \"/run/hello.sock\""
    )]
    Abstract(String),
    /// A relative path, or an IP address where only a path is possible.
    #[error("{0:?} is not an absolute path; write it like \"/run/hello.sock\"")]
    NotAbsolute(String),
}

impl Address {
    /// Reads the address of a stream socket: `IP:PORT`, or the absolute path of a Unix socket.
    ///
    /// # Errors
    /// When it is neither; a bare port, a host name and port 0 have messages of their own.
    pub fn stream(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = unix_path(text)? {
            return Ok(Self::UnixStream(path));
        }
        ip_and_port(text).map(Self::Tcp)
    }

    /// Reads the address of a datagram socket: `IP:PORT`, or the absolute path of a Unix socket.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub fn datagram(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = unix_path(text)? {
            return Ok(Self::UnixDatagram(path));
        }
        ip_and_port(text).map(Self::Udp)
    }

    /// Reads the address of a sequential-packet socket: the absolute path of a Unix socket.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn sequential_packet(text: &str) -> Result<Self, AddressError> {
        unix_path(text)?
            .map(Self::UnixSeqpacket)
            .ok_or_else(|| AddressError::NotAbsolute(text.to_owned()))
    }

    /// Whether clients connect to it (all but datagram sockets).
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !matches!(self, Self::Udp(_) | Self::UnixDatagram(_))
    }

    /// The path of a Unix socket.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::UnixStream(path) | Self::UnixDatagram(path) | Self::UnixSeqpacket(path) => {
                Some(path)
            }
            Self::Tcp(_) | Self::Udp(_) => None,
        }
    }

    /// The IP address and port.
    #[must_use]
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::Udp(address) => Some(*address),
            Self::UnixStream(_) | Self::UnixDatagram(_) | Self::UnixSeqpacket(_) => None,
        }
    }

    /// The field of `listen[]` that has it, which tells the kind of socket: `stream`, `datagram` or `sequentialPacket`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Tcp(_) | Self::UnixStream(_) => "stream",
            Self::Udp(_) | Self::UnixDatagram(_) => "datagram",
            Self::UnixSeqpacket(_) => "sequentialPacket",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::Udp(address) => address.fmt(f),
            Self::UnixStream(path) | Self::UnixDatagram(path) | Self::UnixSeqpacket(path) => {
                path.display().fmt(f)
            }
        }
    }
}

fn unix_path(text: &str) -> Result<Option<PathBuf>, AddressError> {
    match text.chars().next() {
        None => Err(AddressError::Empty),
        Some('/') => Ok(Some(PathBuf::from(text))),
        Some('@') => Err(AddressError::Abstract(text.to_owned())),
        Some(_) => Ok(None),
    }
}

fn ip_and_port(text: &str) -> Result<SocketAddr, AddressError> {
    let whole = || text.to_owned();
    if text.chars().all(|c| c.is_ascii_digit()) {
        return Err(AddressError::OnlyPort(whole()));
    }
    if text.contains('/') {
        return Err(AddressError::NotAbsolute(whole()));
    }
    if std::net::IpAddr::from_str(text.trim_matches(['[', ']'])).is_ok() {
        return Err(AddressError::NoPort(whole()));
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| AddressError::NoPort(whole()))?;
    if host.is_empty() {
        return Err(AddressError::OnlyPort(port.to_owned()));
    }
    // `parse` alone would take "+80".
    let number = Some(port)
        .filter(|port| port.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|port| port.parse::<u16>().ok());
    let port = number.ok_or_else(|| AddressError::Port {
        text: whole(),
        port: port.to_owned(),
    })?;
    if port == 0 {
        return Err(AddressError::PortZero(whole()));
    }
    text.parse().map_err(|_| AddressError::HostName {
        text: whole(),
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "0.0.0.0:1",
            "[::]:65535",
            "/run/hello.sock",
        ] {
            assert_eq!(Address::stream(text).unwrap().to_string(), text);
            assert_eq!(Address::datagram(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Address::sequential_packet("/run/x"),
            Ok(Address::UnixSeqpacket("/run/x".into()))
        );
    }

    #[test]
    fn a_bare_port_is_refused_with_both_ways_to_write_it() {
        for text in ["8080", ":8080"] {
            let message = Address::stream(text).unwrap_err().to_string();
            assert!(
                message.contains("\"127.0.0.1:8080\"") && message.contains("\"0.0.0.0:8080\""),
                "{message}"
            );
        }
    }

    #[test]
    fn every_mistake_has_its_message() {
        let refused = |text: &str| Address::stream(text).unwrap_err();
        assert_eq!(refused(""), AddressError::Empty);
        assert_eq!(
            refused("127.0.0.1:0"),
            AddressError::PortZero("127.0.0.1:0".into())
        );
        assert!(matches!(
            refused("127.0.0.1:65536"),
            AddressError::Port { .. }
        ));
        assert!(matches!(
            refused("127.0.0.1:+80"),
            AddressError::Port { .. }
        ));
        assert!(matches!(refused("127.0.0.1:"), AddressError::Port { .. }));
        assert!(matches!(
            refused("localhost:80"),
            AddressError::HostName { .. }
        ));
        assert!(matches!(refused("127.0.0.1"), AddressError::NoPort(_)));
        assert!(matches!(refused("::1"), AddressError::NoPort(_)));
        assert!(matches!(refused("[::1]"), AddressError::NoPort(_)));
        assert!(matches!(refused("@x"), AddressError::Abstract(_)));
        assert!(matches!(refused("./x.sock"), AddressError::NotAbsolute(_)));
        assert!(matches!(
            refused("127.0.0.1:80\nListenStream=1"),
            AddressError::Port { .. }
        ));
        assert!(matches!(
            Address::sequential_packet("127.0.0.1:1"),
            Err(AddressError::NotAbsolute(_))
        ));
    }
}
