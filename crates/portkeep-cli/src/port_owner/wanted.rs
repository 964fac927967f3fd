//! Address whose owner is asked for.

use std::fmt;

use portkeep_spec::Address;

/// An address that is to be opened, or a port on any address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// One address.
    Address(Address),
    /// A TCP port, on any address of both families.
    TcpPort(u16),
    /// A UDP port, on any address of both families.
    UdpPort(u16),
}

impl From<&Address> for Wanted {
    fn from(address: &Address) -> Self {
        Self::Address(address.clone())
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::TcpPort(port) | Self::UdpPort(port) => write!(f, "*:{port}"),
        }
    }
}
