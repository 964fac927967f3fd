//! Release command as a unit of its own, `NAME-release@N.service`. It runs on if the helper that waits for it is killed.

use std::time::{Duration, Instant};

use portkeep_spec::unit_names;
use tokio::time::{sleep, timeout_at};

use super::{JobResult, Systemd};
use crate::backend::{BackendError, StartFailure};
use crate::end::Cause;
use crate::generation::Generation;
use crate::release_command::ReleaseCommand;

/// How much later than the manager this gives up on it: the manager's own report is better.
const GRACE: Duration = Duration::from_secs(15);
/// How often the command of a killed helper is checked for its end: systemd reports that only to its caller.
const LOOK: Duration = Duration::from_millis(50);

impl Systemd {
    pub(super) async fn run_release_unit(
        &self,
        generation: Generation,
        command: &ReleaseCommand,
    ) -> Result<Result<(), StartFailure>, BackendError> {
        let unit = unit_names::release(&self.name, generation.0);
        let failed = |error| BackendError::new(format!("cannot start {unit}"), error);
        if let Some(other) = self.wait_for_earlier(&unit, command.timeout).await? {
            return Ok(Err(StartFailure::by_circumstances(format!(
                "{other}, of an earlier handover, does not end; see `systemctl status {other}`"
            ))));
        }
        // Otherwise nothing would be known about a unit that has ended by the time of the look.
        self.manager.keep(&unit).await.map_err(failed)?;
        let deadline = Instant::now() + command.timeout + GRACE;
        let job = timeout_at(deadline.into(), self.manager.start(&unit)).await;
        let Ok(job) = job else {
            self.end_unit(&unit).await?;
            return Ok(Err(StartFailure::by_circumstances(format!(
                "the manager did not finish {unit} in time"
            ))));
        };
        let job = job.map_err(failed)?;
        let state = self.state(&unit).await?;
        let end = state.end();
        // Processes that it left in the background must not run beside the new version.
        self.end_unit(&unit).await?;
        let cause = end.cause();
        let reason = match (&job, &cause) {
            (JobResult::Done, Cause::Clean) => return Ok(Ok(())),
            (JobResult::Other(result), _) if result != "failed" && result != "timeout" => {
                format!("it was ended by somebody else ({result})")
            }
            // A condition of a drop-in is not met.
            (_, Cause::Clean) => format!("its start ended with `{job}`"),
            _ => return Ok(Err(self.failure(&unit, &state, &end).await)),
        };
        Ok(Err(StartFailure::by_circumstances(reason)))
    }

    /// Waits until no release command except `unit` runs. Names one that does not end.
    async fn wait_for_earlier(
        &self,
        unit: &str,
        patience: Duration,
    ) -> Result<Option<String>, BackendError> {
        let pattern = unit_names::release_pattern(&self.name);
        let deadline = Instant::now() + patience + GRACE;
        loop {
            let units = self.manager.list(&[&pattern]).await;
            let units = units
                .map_err(|error| BackendError::new(format!("cannot list {pattern}"), error))?;
            let runs = units.into_iter().find(|(other, state)| {
                other != unit && (state.is_started() || state.active == "deactivating")
            });
            match runs {
                None => return Ok(None),
                Some((other, _)) if Instant::now() >= deadline => return Ok(Some(other)),
                Some(_) => sleep(LOOK).await,
            }
        }
    }
}
