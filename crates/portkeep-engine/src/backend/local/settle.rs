//! Settle backend of a generation that is a child process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{LocalEvent, Shared};
use crate::backend::BackendError;
use crate::generation::Generation;
use crate::settle::{Ended, Handle, HandleReset, SettleBackend};

/// The supervisor of one generation, as the settle code uses it.
#[derive(Debug)]
pub(super) struct SettledChild<'a> {
    pub(super) shared: Arc<Shared>,
    pub(super) ended: &'a Ended,
    /// True if the generation is to start again.
    pub(super) is_again: AtomicBool,
}

impl SettleBackend for SettledChild<'_> {
    /// Only its supervisor starts it.
    async fn is_started(&self, _: Generation) -> Result<bool, BackendError> {
        Ok(false)
    }

    /// The app is up as long as a supervisor exists that was not told to end.
    async fn handle(&self) -> Handle {
        Handle::Up
    }

    /// A supervisor settles its own generation, and exists as long as the generation has a phase.
    async fn is_looked_after(&self, generation: Generation) -> bool {
        self.shared.is_supervised(generation)
    }

    async fn somebody_serves(&self) -> bool {
        self.shared.somebody_serves()
    }

    async fn start_again(&self, generation: Generation) -> Result<(), BackendError> {
        self.is_again.store(true, Ordering::Relaxed);
        self.shared
            .tell(LocalEvent::Restarted(generation, self.ended.reason.clone()));
        Ok(())
    }

    async fn take_back(&self, _: Generation) -> Result<(), BackendError> {
        self.is_again.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn rest(&self) -> Result<HandleReset, BackendError> {
        let (generation, reason) = (self.ended.generation, self.ended.reason.clone());
        self.shared.tell(if self.ended.end.is_crash() {
            LocalEvent::Gone(generation, reason)
        } else {
            LocalEvent::Rested(generation)
        });
        Ok(HandleReset::Done)
    }

    async fn renew(&self) -> Result<HandleReset, BackendError> {
        self.shared.tell(LocalEvent::Gone(
            self.ended.generation,
            format!("it is not started again, because {}", self.ended.reason),
        ));
        Ok(HandleReset::Done)
    }
}
