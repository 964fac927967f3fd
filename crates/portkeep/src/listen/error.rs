//! Errors of passed sockets.

use std::fmt;
use std::io;

use super::{SocketInfo, SocketKind, Which};

impl fmt::Debug for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::sentences::in_sentences(self, f)
    }
}

/// Why a socket could not be had.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// One of the `LISTEN_*` variables has a value that cannot be meant.
    #[error("{variable}={value} is not {expected}; whoever starts this process sets it")]
    #[non_exhaustive]
    Variable {
        /// Which variable.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// `LISTEN_FDNAMES` has not one name for each descriptor.
    #[error(
        "LISTEN_FDNAMES={names} does not name {count} descriptors; \
         give one name for each, separated by colons, or unset it"
    )]
    #[non_exhaustive]
    NamesMismatch {
        /// The variable as it is.
        names: String,
        /// How many descriptors were passed.
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
    /// No socket of that name or index was passed, or it was taken already.
    #[error("no socket {wanted} was passed to this process; {passed}")]
    #[non_exhaustive]
    NotFound {
        /// What was asked for.
        wanted: Which,
        /// What is there.
        passed: Passed,
    },
    /// The socket is there, but of another kind.
    #[error("socket {wanted} is {found}, not {expected}; {passed}")]
    #[non_exhaustive]
    WrongKind {
        /// What was asked for.
        wanted: Which,
        /// What it is.
        found: SocketKind,
        /// What it should be.
        expected: SocketKind,
        /// What is there.
        passed: Passed,
    },
    /// Sockets were passed, but none that HTTP can be served on is left.
    #[error(
        "none of the passed sockets can be served: a TCP or Unix stream listener is needed \
         that the app has not taken; {passed}"
    )]
    #[non_exhaustive]
    NothingToServe {
        /// What is there.
        passed: Passed,
    },
    /// The address to bind cannot be understood.
    #[error(
        "{text:?} is no address to listen on; write 127.0.0.1:8080, [::1]:8080 or /path/to/socket"
    )]
    #[non_exhaustive]
    Address {
        /// The address as given.
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
    /// A passed descriptor could not be made ready for use.
    #[error("passed socket {socket} cannot be used")]
    #[non_exhaustive]
    Adopt {
        /// Which one.
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
