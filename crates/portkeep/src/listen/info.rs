//! Names and descriptions of passed sockets.

use std::fmt;

/// A passed socket, by its name (`FileDescriptorName=` in the socket unit) or by position.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Which {
    /// The first socket of this name that was not taken yet.
    Name(String),
    /// The socket at this position, from 0. The order across several socket units is
    /// undefined, so prefer names.
    Index(usize),
}

impl From<&str> for Which {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Which {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for Which {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?}"),
            Self::Index(index) => write!(f, "#{index}"),
        }
    }
}

/// Kind of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketKind {
    /// A TCP socket that listens.
    TcpListener,
    /// A Unix stream socket that listens.
    UnixListener,
    /// A UDP socket.
    Udp,
    /// A Unix datagram socket.
    UnixDatagram,
    /// A Unix sequential-packet socket.
    UnixSeqpacket,
    /// A stream that is already connected: the socket unit says `Accept=yes`.
    Connection,
    /// Anything else, including a descriptor that is not open.
    Other,
}

impl fmt::Display for SocketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TcpListener => "a TCP listener",
            Self::UnixListener => "a Unix stream listener",
            Self::Udp => "a UDP socket",
            Self::UnixDatagram => "a Unix datagram socket",
            Self::UnixSeqpacket => "a Unix seqpacket socket",
            Self::Connection => "a connected stream (Accept=yes in the socket unit?)",
            Self::Other => "no socket that can be used",
        })
    }
}

/// One passed socket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketInfo {
    /// Position among the passed sockets, from 0.
    pub index: usize,
    /// Its name, if the passer gave one.
    pub name: Option<String>,
    /// Its kind.
    pub kind: SocketKind,
    /// Its address, for people; empty if unknown.
    pub address: String,
    /// Whether it was taken already.
    pub taken: bool,
}

impl SocketInfo {
    pub(crate) fn is(&self, which: &Which) -> bool {
        match which {
            Which::Name(name) => self.name.as_ref() == Some(name),
            Which::Index(index) => self.index == *index,
        }
    }
}

impl fmt::Display for SocketInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} ", self.index)?;
        match &self.name {
            Some(name) => write!(f, "{name:?} ")?,
            None => f.write_str("(no name) ")?,
        }
        write!(f, "{}", self.kind)?;
        if !self.address.is_empty() {
            write!(f, " on {}", self.address)?;
        }
        if self.taken {
            f.write_str(" (taken)")?;
        }
        Ok(())
    }
}
