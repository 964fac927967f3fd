//! Commands of a person, by the name of an app.

use portkeep_spec::unit_names;

use super::{Helper, HelperError, holding_page, read_spec};
use crate::backend::{HandleState, HandleUnit, JobResult};
use crate::execute::{Outcome, Request};
use crate::generation::Generation;
use crate::handover::{HandoverId, Purpose, Unchanged};
use crate::maintenance::{self, Change, Changed};
use crate::moment::Moment;
use crate::store::{HandoverRecord, Store};

impl<M: HandleUnit> Helper<'_, M> {
    /// Hands over to the present build. Starts an app that does not run.
    ///
    /// # Errors
    /// When the app is not installed, or the handover failed. The current generation serves on.
    pub async fn reload_by_name(
        &self,
        unchanged: Unchanged,
        asked: Moment,
    ) -> Result<Outcome, HelperError> {
        let handle = self.installed_handle().await?;
        // If the runtime directory was lost with the link to the spec, the unit still names the spec.
        let path = self.store.spec_path();
        let Some(path) = path.filter(|_| handle == HandleState::Active) else {
            return reload_handle(self.manager, self.store).await;
        };
        let spec = read_spec(&path)?;
        let request = Request {
            unchanged,
            asked,
            ..Request::now(Purpose::Reload)
        };
        self.hand_over(&spec, request).await
    }

    /// Hands over to the release that `generation` ran, or to the newest good one that is not current.
    ///
    /// # Errors
    /// When the app is not installed, when there is no such release, or when the handover failed. The current generation
    /// serves on.
    pub async fn roll_back(&self, generation: Option<Generation>) -> Result<Outcome, HelperError> {
        let handle = self.installed_handle().await?;
        // Checked before anything is started.
        self.store.rollback_target(generation)?;
        if handle == HandleState::Inactive {
            // Otherwise the next connection would start the handle, and with it the unwanted release.
            self.manager.start_handle().await?;
        }
        let Some(path) = self.store.spec_path() else {
            return Err(HelperError::NothingCurrent(self.store.name().clone()));
        };
        let spec = read_spec(&path)?;
        // Checked again: that start may have changed which release is current.
        let request = Request::roll_back(self.store, generation)?;
        self.hand_over(&spec, request).await
    }

    /// Begins or ends maintenance.
    ///
    /// # Errors
    /// When the app is not installed, or maintenance could not be changed. Then nothing has changed, unless a release
    /// failed to start.
    pub async fn maintain(&self, change: &Change) -> Result<Changed, HelperError> {
        let handle = self.installed_handle().await?;
        // An app that was never started has left no link to its spec.
        let path = match self.store.spec_path() {
            Some(path) => Some(path),
            None => self.manager.installed_spec().await?,
        };
        let Some(path) = path else {
            return Err(HelperError::NotInstalled(self.store.name().clone()));
        };
        let spec = read_spec(&path)?;
        let is_up = handle == HandleState::Active;
        let page = holding_page(&spec);
        Ok(maintenance::change(self.manager, self.store, &spec, is_up, change, page).await?)
    }

    pub(super) async fn installed_handle(&self) -> Result<HandleState, HelperError> {
        match self.manager.handle().await? {
            HandleState::Missing => Err(HelperError::NotInstalled(self.store.name().clone())),
            handle => Ok(handle),
        }
    }
}

/// Starts the handle, or reloads it if it is active; its helper hands over. Returns the outcome.
///
/// # Errors
/// When the handle's job failed, with the reason that its helper wrote to the history.
pub async fn reload_handle<M: HandleUnit>(
    manager: &M,
    store: &Store,
) -> Result<Outcome, HelperError> {
    let (job, result) = manager.reload_handle().await?;
    outcome_of_job(store, job, result)
}

/// The outcome of a job of the handle whose helper handed over: the history has it under the number of the job.
pub(crate) fn outcome_of_job(
    store: &Store,
    job: Option<u32>,
    result: JobResult,
) -> Result<Outcome, HelperError> {
    let record = job.and_then(|job| record_of(store, &HandoverId::of_job(job)));
    match (result, record) {
        (JobResult::Done, Some(record)) => Ok(Outcome::of(record)?),
        (JobResult::Done, None) => match store.current() {
            Some(current) => Ok(Outcome::Unchanged(current)),
            None => Err(HelperError::NothingCurrent(store.name().clone())),
        },
        (job, record) => Err(HelperError::Job {
            unit: unit_names::handle(store.name()),
            job,
            reason: record.and_then(|record| record.reason),
        }),
    }
}

/// The outcome of a handover, from its line in the history.
fn record_of(store: &Store, id: &HandoverId) -> Option<HandoverRecord> {
    let history = store.history().ok()?;
    history.into_iter().rev().find(|record| record.id == *id)
}
