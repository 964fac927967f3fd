//! Observed use of sockets.

use portkeep_spec::Address;

/// A socket that somebody listens at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listening {
    /// What names it, as long as it is open.
    pub inode: u64,
    /// Where it is reached.
    pub address: Address,
}

/// Whether a process takes connections from certain sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Taking {
    /// It does not.
    #[default]
    No,
    /// It may: it has them, and its doing cannot be seen.
    Unknown,
    /// It does.
    Yes,
}

/// What a process, and what it started, does with sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketUse {
    /// How many sockets were passed to it.
    pub passed: usize,
    /// Whether it takes connections from one of those.
    pub takes_passed: Taking,
    /// Where it listens besides, and takes connections: sockets that it opened itself.
    pub opened: Vec<Listening>,
}

impl SocketUse {
    /// It does without what was passed to it, and opens its port itself.
    #[must_use]
    pub fn binds_itself(&self) -> bool {
        self.passed > 0 && self.takes_passed == Taking::No && !self.opened.is_empty()
    }

    /// It takes connections where it is to.
    #[must_use]
    pub fn accepts(&self) -> Taking {
        match (self.passed, self.opened.is_empty()) {
            (0, false) => Taking::Yes,
            _ => self.takes_passed,
        }
    }
}
