//! What is asked of a handover, and what comes of it.

use crate::generation::Generation;
use crate::handover::{Purpose, Unchanged};
use crate::moment::Moment;
use crate::release::Digest;
use crate::store::HandoverRecord;

/// What is asked of a handover.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Who asks.
    pub purpose: Purpose,
    /// Whether an unchanged release is started again.
    pub unchanged: Unchanged,
    /// When it was asked. A handover that fails after this answers it too, where the release is the same.
    pub asked: Moment,
}

impl Request {
    /// A request that is made now.
    #[must_use]
    pub fn now(purpose: Purpose) -> Self {
        Self {
            purpose,
            unchanged: Unchanged::IsDone,
            asked: Moment::now(),
        }
    }
}

/// How a handover that did not fail ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// A new generation is current. Its record has a reason where it runs the last good release instead of the one that
    /// was asked for.
    HandedOver(HandoverRecord),
    /// The release was current already.
    Unchanged(Generation),
    /// The release is known to be bad and was not tried again.
    KnownBad(Digest),
}

impl Outcome {
    /// True where the last good release runs instead of the one that was asked for.
    #[must_use]
    pub fn fell_back(&self) -> bool {
        matches!(self, Self::HandedOver(record) if record.reason.is_some())
    }
}
