//! The handle as a unit of a systemd manager.

use std::path::PathBuf;

use portkeep_spec::unit_names;

use super::Systemd;
use super::manager::ManagerError;
use crate::backend::{BackendError, HandleState, HandleUnit, JobResult};

impl HandleUnit for Systemd {
    async fn handle(&self) -> Result<HandleState, BackendError> {
        let unit = unit_names::handle(&self.name);
        let state = self.state_as_unit(&unit).await?;
        Ok(match state.is_active() {
            true => HandleState::Active,
            false if state.load == "loaded" => HandleState::Inactive,
            false => HandleState::Missing,
        })
    }

    async fn handle_job(&self) -> Result<Option<u32>, BackendError> {
        let unit = unit_names::handle(&self.name);
        let job = self.manager.job_of(&unit).await;
        job.map_err(failed("ask for the job of", &unit))
    }

    async fn installed_spec(&self) -> Result<Option<PathBuf>, BackendError> {
        let unit = unit_names::handle(&self.name);
        let command = self.manager.command_of(&unit).await;
        Ok(spec_of(
            &command.map_err(failed("ask for the command of", &unit))?,
        ))
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

    async fn deploy_again(&self) -> Result<(), BackendError> {
        let unit = unit_names::deploy(&self.name);
        let asked = self.manager.start_without_waiting(&unit).await;
        asked.map_err(failed("start", &unit))
    }
}

fn failed(doing: &str, unit: &str) -> impl FnOnce(ManagerError) -> BackendError {
    move |error| BackendError::new(format!("cannot {doing} {unit}"), error)
}

/// The path behind `--spec` in a command.
fn spec_of(command: &[String]) -> Option<PathBuf> {
    let option = command.iter().position(|word| word == "--spec")?;
    command.get(option + 1).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spec_is_what_the_unit_names() {
        let command = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            spec_of(&command("/p handle activate a --spec /etc/a.json")),
            Some(PathBuf::from("/etc/a.json"))
        );
        assert_eq!(spec_of(&command("/p handle activate a --spec")), None);
        assert_eq!(spec_of(&command("/usr/sbin/nginx")), None);
    }
}
