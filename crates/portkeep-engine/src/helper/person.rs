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
    /// Hands over to the release that is there now. An app that does not run is started.
    ///
    /// # Errors
    /// When it is not installed, and when the handover failed; what served before serves on.
    pub async fn reload_by_name(
        &self,
        unchanged: Unchanged,
        asked: Moment,
    ) -> Result<Outcome, HelperError> {
        let handle = self.installed_handle().await?;
        // Where the link was lost with the runtime directory, the unit knows where the spec is.
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
    /// When it is not installed, when there is no such release, and when the handover failed; what served before serves on.
    pub async fn roll_back(&self, generation: Option<Generation>) -> Result<Outcome, HelperError> {
        let handle = self.installed_handle().await?;
        // Refused before anything is started.
        self.store.rollback_target(generation)?;
        if handle == HandleState::Inactive {
            // Else the next connection would start it, and with it the release that is not wanted.
            self.manager.start_handle().await?;
        }
        let Some(path) = self.store.spec_path() else {
            return Err(HelperError::NothingCurrent(self.store.name().clone()));
        };
        let spec = read_spec(&path)?;
        // Asked again: that start may have made another release current.
        let request = Request::roll_back(self.store, generation)?;
        self.hand_over(&spec, request).await
    }

    /// Begins or ends maintenance.
    ///
    /// # Errors
    /// When it is not installed, and when it could not be done: nothing has changed then, but where a release did not start.
    pub async fn maintain(&self, change: &Change) -> Result<Changed, HelperError> {
        let handle = self.installed_handle().await?;
        // One that was never started has left no link to its spec.
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

/// Starts the handle, or reloads it where it runs; its helper hands over. Answers what came of it.
///
/// # Errors
/// When its job did not succeed; with the reason that its helper left in the history.
pub async fn reload_handle<M: HandleUnit>(
    manager: &M,
    store: &Store,
) -> Result<Outcome, HelperError> {
    let (job, result) = manager.reload_handle().await?;
    outcome_of_job(store, job, result)
}

/// What came of a job of the handle, whose helper handed over: the history has it, by the number of the job.
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

/// What the history says of a handover.
fn record_of(store: &Store, id: &HandoverId) -> Option<HandoverRecord> {
    let history = store.history().ok()?;
    history.into_iter().rev().find(|record| record.id == *id)
}
