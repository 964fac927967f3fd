//! The handle as a unit of a systemd manager.

use std::path::{Path, PathBuf};

use portkeep_spec::unit_names;

use super::Systemd;
use super::manager::ManagerError;
use super::unit_state::UnitState;
use crate::backend::{BackendError, HandleState, HandleUnit, JobResult};

impl HandleUnit for Systemd {
    async fn handle(&self) -> Result<HandleState, BackendError> {
        let unit = unit_names::handle(&self.name);
        let state = self.part(&unit, &["ActiveState", "LoadState"]).await?;
        Ok(match state.is_active() {
            true => HandleState::Active,
            false if state.load == "loaded" => HandleState::Inactive,
            false => HandleState::Missing,
        })
    }

    async fn handle_job(&self) -> Result<Option<u32>, BackendError> {
        let unit = unit_names::handle(&self.name);
        Ok(self.part(&unit, &["Job"]).await?.job)
    }

    async fn installed_spec(&self) -> Result<Option<PathBuf>, BackendError> {
        let unit = unit_names::handle(&self.name);
        let command = self.manager.command_of(&unit).await;
        let command = command.map_err(failed("ask for the command of", &unit))?;
        Ok(UnitState::spec_in(&command).map(Path::to_owned))
    }

    async fn start_handle(&self) -> Result<JobResult, BackendError> {
        let unit = unit_names::handle(&self.name);
        let job = self.manager.start(&unit).await;
        job.map_err(failed("start", &unit))
    }

    async fn reload_handle(&self) -> Result<(Option<u32>, JobResult), BackendError> {
        let unit = unit_names::handle(&self.name);
        let job = self.manager.reload_or_restart(&unit).await;
        job.map_err(failed("reload", &unit))
    }

    async fn secrets_again(&self) -> Result<(), BackendError> {
        let unit = unit_names::secrets(&self.name);
        let asked = self.manager.start_without_waiting(&unit).await;
        asked.map_err(failed("start", &unit))
    }

    async fn deploy_again(&self) -> Result<(), BackendError> {
        let unit = unit_names::deploy(&self.name);
        let asked = self.manager.start_without_waiting(&unit).await;
        asked.map_err(failed("start", &unit))
    }
}

fn failed(doing: &str, unit: &str) -> impl FnOnce(ManagerError) -> BackendError {
    move |error| BackendError::new(format!("cannot {doing} {unit}"), error)
}
