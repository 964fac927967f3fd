//! The handle's `ExecReload=`.

use std::path::Path;

use super::installed::Installed;
use super::{Helper, HelperError, Progress};
use crate::backend::HandleUnit;
use crate::execute::{Outcome, Request, doing};
use crate::handover::Purpose;
use crate::moment::Moment;

impl<M: HandleUnit> Helper<'_, M> {
    /// Hands over while the handle is active, until the current generation runs the installed release.
    ///
    /// # Errors
    /// When the last of them failed; what served before serves on.
    pub async fn reload(
        &self,
        spec_path: &Path,
        purpose: Purpose,
        asked: Moment,
    ) -> Result<Outcome, HelperError> {
        let mut installed = Installed::read(spec_path)?;
        let mut result = self.once(&installed, purpose, asked).await;
        while result
            .as_ref()
            .map_or_else(HelperError::is_of_the_release, |_| true)
            && let Some(newer) = installed.newer(self.manager, self.store).await
        {
            installed = newer;
            if let Err(error) = &result {
                (self.tell)(Progress::Failed(error));
            }
            // A build is tried once, however often it is built.
            let purpose = match purpose {
                Purpose::Deploy => Purpose::Deploy,
                _ => Purpose::Reload,
            };
            result = self.once(&installed, purpose, Moment::now()).await;
            if result.is_err() {
                break;
            }
        }
        result
    }

    pub(super) async fn once(
        &self,
        installed: &Installed,
        purpose: Purpose,
        asked: Moment,
    ) -> Result<Outcome, HelperError> {
        self.store
            .note_spec(&installed.path)
            .map_err(doing("note where the spec is"))?;
        let request = Request {
            asked,
            ..Request::now(purpose)
        };
        let id = self.begin(purpose).await;
        self.hand_over(&installed.spec, request.called(id)).await
    }
}
