//! Deploy step of the path unit, and the second look that catches events which systemd loses.

use std::path::Path;

use portkeep_spec::unit_names;

use super::{Helper, HelperError, Progress, read_spec};
use crate::backend::{HandleState, HandleUnit, JobResult};
use crate::execute::{self, Outcome};
use crate::handover::Purpose;
use crate::moment::Moment;

impl<M: HandleUnit> Helper<'_, M> {
    /// Hands over to the new build. A handle that does not run is only started: then there is no outcome yet.
    ///
    /// # Errors
    /// When the handover failed, or the start.
    pub async fn deploy(
        &self,
        spec_path: &Path,
        asked: Moment,
    ) -> Result<Option<Outcome>, HelperError> {
        if self.manager.handle().await? == HandleState::Active {
            // Not by a reload of the handle, which would cost one more process.
            let outcome = self.reload(spec_path, Purpose::Deploy, asked).await?;
            return Ok(Some(outcome));
        }
        match self.manager.start_handle().await? {
            JobResult::Done => Ok(None),
            job => Err(HelperError::Job {
                unit: unit_names::handle(self.store.name()),
                job,
                reason: None,
            }),
        }
    }

    /// Requests another deploy if the build output changed during the last one.
    ///
    /// # Errors
    /// When the spec cannot be read, or the manager does not answer.
    pub async fn recheck(&self, spec_path: &Path) -> Result<(), HelperError> {
        let spec = read_spec(spec_path)?;
        if execute::has_changed(self.store, &spec) {
            (self.tell)(Progress::DeployAgain);
            self.manager.deploy_again().await?;
        }
        Ok(())
    }
}
