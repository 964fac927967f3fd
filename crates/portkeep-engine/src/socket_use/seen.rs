//! Observed use of sockets.

use portkeep_spec::Address;

/// A socket on which somebody listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listening {
    /// Its inode, which identifies it as long as it is open.
    pub inode: u64,
    /// Its address.
    pub address: Address,
}

/// Whether a process takes connections from certain sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Taking {
    /// It does not.
    #[default]
    No,
    /// It may: it has them, and cannot be observed.
    Unknown,
    /// It does.
    Yes,
}

/// How a process and its descendants use sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketUse {
    /// Number of passed sockets.
    pub passed: usize,
    /// Whether it takes connections from one of those.
    pub takes_passed: Taking,
    /// Sockets that it opened itself and takes connections from.
    pub opened: Vec<Listening>,
}

impl SocketUse {
    /// Whether it ignores the passed sockets and opens its port itself.
    #[must_use]
    pub fn binds_itself(&self) -> bool {
        self.passed > 0 && self.takes_passed == Taking::No && !self.opened.is_empty()
    }

    /// Whether it takes connections where it should.
    #[must_use]
    pub fn accepts(&self) -> Taking {
        match (self.passed, self.opened.is_empty()) {
            (0, false) => Taking::Yes,
            _ => self.takes_passed,
        }
    }
}
