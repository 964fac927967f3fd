//! Progress of a helper, as its caller logs it.

use super::error::HelperError;
use crate::execute::Outcome;
use crate::generation::Generation;
use crate::handover::{HandoverId, Purpose};
use crate::settle::{Budget, Settle};

/// Events of a helper, in order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A handover begins.
    Begins {
        /// Its identity.
        id: &'a HandoverId,
        /// Its purpose.
        purpose: Purpose,
    },
    /// A handover ended, and did not fail.
    Ended(&'a Outcome),
    /// A handover failed, and the next step may mend it.
    Failed(&'a HelperError),
    /// The start of the handle failed, but the current generation serves on.
    ServesOn(&'a HelperError),
    /// The build output changed during its deploy: another deploy is requested.
    DeployAgain,
    /// The spec cannot be read: an end is settled by the default rules.
    DefaultRules(&'a HelperError),
    /// A generation crashed.
    Crashed {
        /// The generation.
        generation: Generation,
        /// The reason.
        reason: &'a str,
    },
    /// The reaction to a crash.
    Settled(Settlement),
}

/// The reaction to a crash of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// The generation.
    pub generation: Generation,
    /// The decision.
    pub decided: Settle,
    /// Number of recent crashes, including this one.
    pub crashes: u32,
    /// The spec's limits.
    pub budget: Budget,
    /// Whether the app has a holding page.
    pub has_page: bool,
}
