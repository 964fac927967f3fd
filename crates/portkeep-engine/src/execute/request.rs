//! Request for a handover, and its outcome.

use super::cancel::Cancel;
use crate::error::EngineError;
use crate::generation::Generation;
use crate::handover::{HandoverId, Purpose, Unchanged};
use crate::maintenance::Message;
use crate::moment::Moment;
use crate::release::{Digest, HoldingPage};
use crate::store::{HandoverRecord, HandoverResult, RollbackError, Store};

/// A request for a handover.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its identity.
    pub id: HandoverId,
    /// Its purpose.
    pub purpose: Purpose,
    /// Whether an unchanged release is started again.
    pub unchanged: Unchanged,
    /// When it was made. A handover of the same release that fails after this answers it too.
    pub asked: Moment,
    /// The requested release.
    pub wanted: Wanted,
    /// The page that answers if no release can serve; with none, connections wait.
    pub holding: Option<HoldingPage>,
    /// Cancels its start.
    pub cancel: Cancel,
}

/// A requested release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The one that the spec describes now.
    AsSpecified,
    /// A kept one.
    Kept(Digest),
    /// None: the maintenance page, with its text.
    Maintenance(Option<Message>),
}

impl Request {
    /// A request as of now.
    #[must_use]
    pub fn now(purpose: Purpose) -> Self {
        Self {
            id: HandoverId::unique(),
            purpose,
            unchanged: Unchanged::IsDone,
            asked: Moment::now(),
            wanted: Wanted::AsSpecified,
            holding: None,
            cancel: Cancel::default(),
        }
    }

    /// A request as of now, for the release that `generation` ran, or for the newest good one that is not current.
    ///
    /// # Errors
    /// When it is not kept; the message says what is.
    pub fn roll_back(store: &Store, generation: Option<Generation>) -> Result<Self, RollbackError> {
        Ok(Self {
            wanted: Wanted::Kept(store.rollback_target(generation)?),
            ..Self::now(Purpose::Rollback)
        })
    }

    /// Sets the identity.
    #[must_use]
    pub fn called(mut self, id: HandoverId) -> Self {
        self.id = id;
        self
    }

    /// Sets the page that answers if no release can serve.
    #[must_use]
    pub fn or_holding_page(mut self, page: Option<HoldingPage>) -> Self {
        self.holding = page;
        self
    }

    /// Has `cancel` cancel its start.
    #[must_use]
    pub fn unless(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }
}

/// The end of a handover that did not fail.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// A new generation is current. Its record has a reason if it runs the last good release instead of the requested one.
    HandedOver(HandoverRecord),
    /// Nothing can serve: a holding page is current. Its record has the reason.
    Holding(HandoverRecord),
    /// The maintenance page is current, because a person wants it. Its record has the page's text.
    InMaintenance(HandoverRecord),
    /// The release was current already.
    Unchanged(Generation),
    /// The release is known to be bad and was not tried again.
    KnownBad(Digest),
}

impl Outcome {
    /// The outcome of a handover in the history.
    ///
    /// # Errors
    /// When it failed: the error that who asked for it got.
    pub fn of(record: HandoverRecord) -> Result<Self, EngineError> {
        let reason = |record: HandoverRecord| record.reason.unwrap_or_default();
        match record.result {
            HandoverResult::Holding => Ok(Self::Holding(record)),
            HandoverResult::Maintenance => Ok(Self::InMaintenance(record)),
            HandoverResult::HandedOver | HandoverResult::FellBack => Ok(Self::HandedOver(record)),
            HandoverResult::Refused => Err(EngineError::Refused(reason(record))),
            HandoverResult::Failed => Err(EngineError::StartFailed {
                generation: record.generation,
                reason: reason(record),
            }),
        }
    }

    /// Whether the last good release runs instead of the requested one.
    #[must_use]
    pub fn fell_back(&self) -> bool {
        matches!(self, Self::HandedOver(record) if record.result == HandoverResult::FellBack)
    }
}
