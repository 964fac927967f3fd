//! Step of the path unit for a directory of secrets, and the second look that catches events which systemd loses.

use std::path::Path;

use portkeep_spec::Spec;

use super::installed::Installed;
use super::{Helper, HelperError, read_spec};
use crate::backend::{HandleState, HandleUnit};
use crate::execute::Outcome;
use crate::handover::Purpose;
use crate::moment::Moment;
use crate::secrets;

impl<M: HandleUnit> Helper<'_, M> {
    /// Hands over if the current generation may have old secrets. None if nothing serves.
    ///
    /// # Errors
    /// When the handover failed; what served before serves on.
    pub async fn new_secrets(
        &self,
        spec_path: &Path,
        asked: Moment,
    ) -> Result<Option<Outcome>, HelperError> {
        let installed = Installed::read(spec_path)?;
        secrets::calm(&installed.spec).await;
        if !self.has_new_secrets(&installed.spec).await? {
            // The paths to them may have changed.
            let directories = secrets::directories(&installed.spec);
            self.manager.watch_secrets(&directories).await?;
            return Ok(None);
        }
        let outcome = self.once(&installed, Purpose::Secrets, asked).await?;
        Ok(Some(outcome))
    }

    /// Requests another look if a secret changed during the last one.
    ///
    /// # Errors
    /// When the spec cannot be read, or the manager does not answer.
    pub async fn recheck_secrets(&self, spec_path: &Path) -> Result<(), HelperError> {
        if self.has_new_secrets(&read_spec(spec_path)?).await? {
            self.manager.secrets_again().await?;
        }
        Ok(())
    }

    /// Whether a generation with old secrets may serve. One that is started later gets the new ones.
    async fn has_new_secrets(&self, spec: &Spec) -> Result<bool, HelperError> {
        if self.store.maintenance().is_some() || !secrets::have_changed(self.store, spec) {
            return Ok(false);
        }
        Ok(self.manager.handle().await? == HandleState::Active)
    }
}
