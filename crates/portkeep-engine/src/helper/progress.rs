//! Progress of a helper, as its caller logs it.

use super::error::HelperError;
use crate::execute::Outcome;
use crate::generation::Generation;
use crate::handover::{HandoverId, Purpose};
use crate::settle::{Budget, Settle};

/// What happened, told in the order in which it happens.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A handover begins.
    Begins {
        /// Which one.
        id: &'a HandoverId,
        /// What for.
        purpose: Purpose,
    },
    /// A handover ended, and did not fail.
    Ended(&'a Outcome),
    /// A handover failed, and what comes next may mend it.
    Failed(&'a HelperError),
    /// The start of the handle failed, but a generation serves, and serves on.
    ServesOn(&'a HelperError),
    /// The build output changed while it was deployed: one more deploy is asked for.
    DeployAgain,
    /// The spec cannot be read: an end is settled by the default rules.
    DefaultRules(&'a HelperError),
    /// A generation crashed.
    Crashed {
        /// Which one.
        generation: Generation,
        /// Why.
        reason: &'a str,
    },
    /// What was done about a crash.
    Settled(Settlement),
}

/// What was done about a crash of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Which one.
    pub generation: Generation,
    /// What was decided.
    pub decided: Settle,
    /// How often it crashed recently, this time included.
    pub crashes: u32,
    /// What the spec allows.
    pub budget: Budget,
    /// Whether a holding page can be shown for this app.
    pub has_page: bool,
}
