//! Errors of passed sockets.

use std::fmt;
use std::io;

use super::{SocketInfo, SocketKind, Which};

impl fmt::Debug for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::sentences::in_sentences(self, f)
    }
}

/// Why a socket is not available.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// One of the `LISTEN_*` variables has an invalid value.
    #[error("{variable}={value} is not {expected}; whoever starts this process sets it")]
    #[non_exhaustive]
    Variable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// The expected value.
        expected: &'static str,
    },
    /// The number of names in `LISTEN_FDNAMES` is not that of the descriptors.
    #[error(
        "LISTEN_FDNAMES={names} does not name {count} descriptors; \
         give one name for each, separated by colons, or unset it"
    )]
    #[non_exhaustive]
    NamesMismatch {
        /// The value of the variable.
        names: String,
        /// The number of passed descriptors.
        count: usize,
    },
    /// A wrapper was passed the sockets, and started this process without becoming it.
    #[error(
        "the sockets were passed to process {pid}, which started this one: it was started through a wrapper that does not \
         `exec`; write `exec` before the program in the script"
    )]
    #[non_exhaustive]
    Wrapper {
        /// The process that has the sockets.
        pid: u32,
    },
    /// No socket with that name or index was passed, or it was taken already.
    #[error("no socket {wanted} was passed to this process; {passed}")]
    #[non_exhaustive]
    NotFound {
        /// The requested socket.
        wanted: Which,
        /// The passed sockets.
        passed: Passed,
    },
    /// The socket exists, but has another kind.
    #[error("socket {wanted} is {found}, not {expected}; {passed}")]
    #[non_exhaustive]
    WrongKind {
        /// The requested socket.
        wanted: Which,
        /// Its kind.
        found: SocketKind,
        /// The expected kind.
        expected: SocketKind,
        /// The passed sockets.
        passed: Passed,
    },
    /// Sockets were passed, but none is left that can serve HTTP.
    #[error(
        "none of the passed sockets can be served: a TCP or Unix stream listener is needed \
         that the app has not taken; {passed}"
    )]
    #[non_exhaustive]
    NothingToServe {
        /// The passed sockets.
        passed: Passed,
    },
    /// The address to bind is invalid.
    #[error(
        "{text:?} is no address to listen on; write 127.0.0.1:8080, [::1]:8080 or /path/to/socket"
    )]
    #[non_exhaustive]
    Address {
        /// The address as it was written.
        text: String,
    },
    /// The address could not be bound.
    #[error(
        "cannot listen on {address}; is another process there? set PORTKEEP_LISTEN to use another address"
    )]
    #[non_exhaustive]
    Bind {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A passed descriptor could not be prepared.
    #[error("passed socket {socket} cannot be used")]
    #[non_exhaustive]
    Adopt {
        /// The socket.
        socket: SocketInfo,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The passed sockets, as an error message lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed(pub(super) Vec<SocketInfo>);

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none were passed (LISTEN_FDS is not set for this process)");
        }
        f.write_str("passed: ")?;
        for (position, socket) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{socket}")?;
        }
        Ok(())
    }
}
