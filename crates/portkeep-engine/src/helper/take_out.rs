//! Takes an app out, and puts it back.

use std::time::Duration;

use jiff::Timestamp;
use portkeep_spec::{Manager as Which, Spec};
use tokio::time::{Instant, sleep};

use super::{Helper, HelperError, read_spec};
use crate::backend::{HandleState, HandleUnit};
use crate::decision::{self, Announcement};
use crate::execute::doing;
use crate::stop_limits::{StopLimit, cuts_grace};
use crate::store::{HistoryEvent, Store, TakenOutReason};
use crate::taken_out::TakenOut;

/// Interval of looks at the connections: the kernel does not report their end.
const LOOK: Duration = Duration::from_millis(200);

/// Result of taking an app out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakeOutResult {
    /// It was not taken out before.
    pub changed: bool,
    /// Since when it is taken out, and its grace: those of the first request.
    pub taken_out: TakenOut,
}

impl<M: HandleUnit> Helper<'_, M> {
    /// The spec of an installed app; an app that was never started has no link to it in its state.
    ///
    /// # Errors
    /// When it is not installed, or its spec cannot be read.
    pub async fn installed_spec(&self) -> Result<Spec, HelperError> {
        let not_installed = || HelperError::NotInstalled(self.store.name().clone());
        if self.manager.handle().await? == HandleState::Missing {
            return Err(not_installed());
        }
        let path = match self.manager.installed_spec().await? {
            Some(path) => Some(path),
            None => self.store.spec_path(),
        };
        read_spec(&path.ok_or_else(not_installed)?)
    }

    /// Tells load balancers to send no more requests, and ends connections after the grace. An app that is taken out
    /// already stays as it is, with the grace that it has.
    ///
    /// # Errors
    /// When a shutdown of the machine would cut the grace, and when it cannot be noted: then nothing has changed.
    pub fn take_out(
        &self,
        grace: Duration,
        spec: &Spec,
        limits: &[StopLimit],
    ) -> Result<TakeOutResult, HelperError> {
        if self.store.taken_out().is_none()
            && let Some(short) = cuts_grace(limits, spec, grace)
        {
            return Err(HelperError::GraceCut(Box::new(short)));
        }
        let wanted = TakenOut::now(grace);
        let changed = self
            .store
            .take_out(wanted)
            .map_err(doing("note that the app is taken out"))?;
        let taken_out = self.store.taken_out().unwrap_or(wanted);
        if changed {
            let record = self
                .store
                .taken_out_record(taken_out, TakenOutReason::Asked);
            tell(
                self.store,
                self.manager.journal(),
                HistoryEvent::TakenOut(record),
            );
        }
        Ok(TakeOutResult { changed, taken_out })
    }

    /// Tells load balancers that the app is ready, if it is. Returns false if it was not taken out.
    ///
    /// # Errors
    /// When it cannot be noted: then nothing has changed.
    pub fn put_back(&self) -> Result<bool, HelperError> {
        let back = self.store.put_back();
        let before = back.map_err(doing("note that the app is put back"))?;
        if let Some(before) = before {
            let record = self.store.put_back_record(before);
            tell(
                self.store,
                self.manager.journal(),
                HistoryEvent::PutBack(record),
            );
        }
        Ok(before.is_some())
    }
}

/// Writes to history and journal. The change is done by then: a failed write does not undo it.
pub(super) fn tell(store: &Store, which: Option<Which>, event: HistoryEvent) {
    let told = match &event {
        HistoryEvent::TakenOut(record) => record.told(store.name()),
        HistoryEvent::PutBack(record) => record.told(store.name()),
        _ => return,
    };
    if let Err(error) = store.note_event(&event) {
        tracing::warn!(
            "{}; it could not be noted in the history: {error}",
            told.message
        );
    }
    if let Some(which) = which {
        decision::send(&Announcement::new(store.name(), which, told));
    }
}

/// Waits for the grace, and then until `count` finds no connection, for `longest` at most, or until the app is put back.
/// Returns the number of remaining connections.
pub async fn emptied(
    store: &Store,
    taken_out: &TakenOut,
    longest: Duration,
    count: impl Fn() -> usize,
) -> usize {
    let grace = Instant::now() + taken_out.left(Timestamp::now());
    let deadline = grace + longest;
    loop {
        let left = count();
        let now = Instant::now();
        let is_over = now >= grace && (left == 0 || now >= deadline);
        if is_over || store.taken_out().is_none() {
            return left;
        }
        sleep(LOOK).await;
    }
}
