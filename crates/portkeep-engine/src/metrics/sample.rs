//! Sample of one app: all facts that its metrics are made from.

use jiff::Timestamp;
use portkeep_spec::{AppName, Label, Manager as Which};

use crate::generation::Generation;
use crate::release::Digest;
use crate::status_counts::StatusCounts;
use crate::store::{HandoverRecord, Totals};

/// A run of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What its manager calls it.
    pub invocation: String,
    /// What it says of itself.
    pub said: StatusCounts,
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// A release of the app.
    Release,
    /// The holding page, because no release can.
    HoldingPage,
    /// The page of maintenance.
    Maintenance,
    /// Nothing: the next connection starts something.
    Nothing,
}

impl Serving {
    /// What answers where this release is current; and whether somebody wants maintenance.
    #[must_use]
    pub fn of(release: Option<&Digest>, in_maintenance: bool) -> Self {
        match release {
            None => Self::Nothing,
            Some(digest) if !digest.is_holding_page() => Self::Release,
            Some(_) if in_maintenance => Self::Maintenance,
            Some(_) => Self::HoldingPage,
        }
    }
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSample {
    /// Its unit.
    pub unit: String,
    /// Whether it is open.
    pub is_open: bool,
}

/// One app.
#[derive(Debug, Clone)]
pub struct AppSample {
    /// Its name.
    pub name: AppName,
    /// Whose units it has.
    pub which: Which,
    /// When this was looked at.
    pub at: Timestamp,
    /// What answers.
    pub serving: Serving,
    /// The generation that accepts connections.
    pub current: Option<Generation>,
    /// Its release.
    pub release: Option<Digest>,
    /// What people call that.
    pub label: Option<Label>,
    /// How many generations drain.
    pub draining: u64,
    /// A person has taken it out of its load balancers, and has not put it back.
    pub taken_out: bool,
    /// Its sockets.
    pub sockets: Vec<SocketSample>,
    /// The last handover.
    pub last: Option<HandoverRecord>,
    /// What all events add up to.
    pub totals: Totals,
    /// Requests that were answered by runs whose end is not in these.
    pub answered_since: u64,
}
