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
    /// The manager's name for it.
    pub invocation: String,
    /// Its own counts.
    pub said: StatusCounts,
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// A release of the app.
    Release,
    /// The holding page, because no release can serve.
    HoldingPage,
    /// The page of maintenance.
    Maintenance,
    /// Nothing: the next connection starts a generation.
    Nothing,
}

impl Serving {
    /// Decides by the current release, and whether a person wants maintenance.
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
    /// The manager of its units.
    pub which: Which,
    /// The time of the sample.
    pub at: Timestamp,
    /// What answers.
    pub serving: Serving,
    /// The generation that accepts connections.
    pub current: Option<Generation>,
    /// Its release.
    pub release: Option<Digest>,
    /// The label of the release.
    pub label: Option<Label>,
    /// How many generations drain.
    pub draining: u64,
    /// Whether a person has taken it out of its load balancers, and has not put it back.
    pub taken_out: bool,
    /// Its sockets.
    pub sockets: Vec<SocketSample>,
    /// The last handover.
    pub last: Option<HandoverRecord>,
    /// Totals of all events.
    pub totals: Totals,
    /// Requests that runs have answered whose end is not in the history.
    pub answered_since: u64,
}
