//! The handle's `ExecStart=`.

use std::path::Path;

use super::installed::Installed;
use super::{Helper, HelperError, Progress};
use crate::backend::HandleUnit;
use crate::execute::{Outcome, Request, doing};
use crate::generation::Phase;
use crate::handover::{HandoverId, Purpose};
use crate::moment::Moment;

impl<M: HandleUnit> Helper<'_, M> {
    /// Starts a generation. The start of the handle was requested at `asked`.
    ///
    /// A restart of the handle while a generation serves succeeds also where the new one does not start: the old one serves on,
    /// and a failed handle would only be tried again.
    ///
    /// # Errors
    /// When nothing serves after it.
    pub async fn activate(&self, spec_path: &Path, asked: Moment) -> Result<(), HelperError> {
        self.store
            .note_spec(spec_path)
            .map_err(doing("note where the spec is"))?;
        // A user's manager may be restarted without the machine.
        self.store
            .forget_leaving()
            .map_err(doing("forget an earlier shutdown"))?;
        let installed = Installed::read(spec_path)?;
        let id = self.begin(Purpose::Activate).await;
        let request = Request {
            asked,
            ..Request::now(Purpose::Activate).called(id.clone())
        };
        match self.hand_over(&installed.spec, request).await {
            Ok(Outcome::InMaintenance(_)) => Ok(()),
            Ok(_) => {
                self.catch_up(installed, &id).await?;
                Ok(())
            }
            Err(error) if error.is_of_the_release() && self.current_serves().await? => {
                (self.tell)(Progress::ServesOn(&error));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// systemd merges a reload during the start of the handle into that start, and never runs it. Its work is done here,
    /// before its caller is told that it succeeded.
    async fn catch_up(&self, mut installed: Installed, id: &HandoverId) -> Result<(), HelperError> {
        while let Some(newer) = installed.newer(self.manager, self.store).await {
            installed = newer;
            self.store
                .note_spec(&installed.path)
                .map_err(doing("note where the spec is"))?;
            let request = Request::now(Purpose::Reload).called(id.clone());
            // The handle is up, and the current generation serves on; but the caller that wants the new version must not be
            // told that it serves.
            if let Err(error) = self.hand_over(&installed.spec, request).await {
                (self.tell)(Progress::Failed(&error));
                break;
            }
        }
        Ok(())
    }

    async fn current_serves(&self) -> Result<bool, HelperError> {
        let current = self.store.current();
        let running = self.manager.running().await?;
        Ok(running
            .iter()
            .any(|one| one.phase == Phase::Serving && current == Some(one.generation)))
    }
}
