//! Request for a handover, and its outcome.

use super::cancel::Cancel;
use crate::error::EngineError;
use crate::generation::Generation;
use crate::handover::{HandoverId, Purpose, Unchanged};
use crate::maintenance::Message;
use crate::moment::Moment;
use crate::release::{Digest, HoldingPage};
use crate::store::{HandoverRecord, HandoverResult, RollbackError, Store};

/// What is asked of a handover.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which one it is.
    pub id: HandoverId,
    /// Who asks.
    pub purpose: Purpose,
    /// Whether an unchanged release is started again.
    pub unchanged: Unchanged,
    /// When it was asked. A handover that fails after this answers it too, where the release is the same.
    pub asked: Moment,
    /// Which release.
    pub wanted: Wanted,
    /// What is shown where no release can serve; nothing where connections are to wait.
    pub holding: Option<HoldingPage>,
    /// How its start is given up.
    pub cancel: Cancel,
}

/// Which release is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// What the spec describes now.
    AsSpecified,
    /// One that is kept.
    Kept(Digest),
    /// None: the page of maintenance, with what it is to say.
    Maintenance(Option<Message>),
}

impl Request {
    /// A request that is made now.
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

    /// A request that is made now, for the release that `generation` ran, or for the newest good one that is not current.
    ///
    /// # Errors
    /// When it is not kept; the message says what is.
    pub fn roll_back(store: &Store, generation: Option<Generation>) -> Result<Self, RollbackError> {
        Ok(Self {
            wanted: Wanted::Kept(store.rollback_target(generation)?),
            ..Self::now(Purpose::Rollback)
        })
    }

    /// The same, as the handover of this identity.
    #[must_use]
    pub fn called(mut self, id: HandoverId) -> Self {
        self.id = id;
        self
    }

    /// The same, with what is shown where no release can serve.
    #[must_use]
    pub fn or_holding_page(mut self, page: Option<HoldingPage>) -> Self {
        self.holding = page;
        self
    }

    /// The same, whose start is given up when `cancel` is asked to.
    #[must_use]
    pub fn unless(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }
}

/// How a handover that did not fail ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// A new generation is current. Its record has a reason where it runs the last good release instead of the one that
    /// was asked for.
    HandedOver(HandoverRecord),
    /// Nothing can serve: a holding page is current. Its record has the reason.
    Holding(HandoverRecord),
    /// The page of maintenance is current, as somebody wants it. Its record has what it says.
    InMaintenance(HandoverRecord),
    /// The release was current already.
    Unchanged(Generation),
    /// The release is known to be bad and was not tried again.
    KnownBad(Digest),
}

impl Outcome {
    /// What a handover that is in the history came to.
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

    /// True where the last good release runs instead of the one that was asked for.
    #[must_use]
    pub fn fell_back(&self) -> bool {
        matches!(self, Self::HandedOver(record) if record.result == HandoverResult::FellBack)
    }
}
