//! Generations as units of a systemd manager, over D-Bus.
//!
//! Nothing of D-Bus is visible outside this module.

mod connect;
mod job;
mod journal;
mod manager;
mod proxy;
mod unit_state;

use std::time::{Duration, Instant};

use portkeep_spec::{AppName, Manager as Which, Sandbox, Spec, unit_names};
use tokio::time::timeout_at;

pub use job::JobResult;
pub use manager::{Manager, ManagerError, Until};
pub use unit_state::UnitState;

use crate::backend::{Backend, BackendError, Blame, StartFailure};
use crate::generation::{Generation, Phase, Running};
use crate::store::Store;
use crate::user::RunsAs;

/// How long a failed unit may take to be gone.
const ABANDON_DEADLINE: Duration = Duration::from_secs(120);

/// Runs the generations of one app as `NAME@N.service`.
#[derive(Debug)]
pub struct Systemd {
    manager: Manager,
    store: Store,
    name: AppName,
}

impl Systemd {
    /// Runs generations from `store` under `manager`.
    #[must_use]
    pub fn new(manager: Manager, store: Store) -> Self {
        let name = store.name().clone();
        Self {
            manager,
            store,
            name,
        }
    }

    /// The manager.
    #[must_use]
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// The app's files.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Which manager it is.
    #[must_use]
    pub fn which(&self) -> Which {
        self.manager.which()
    }

    fn unit(&self, generation: Generation) -> String {
        unit_names::generation(&self.name, generation.0)
    }

    /// Why the start job failed: what the settle step saw, which knows more than the job's result.
    async fn why(
        &self,
        generation: Generation,
        ends_before: usize,
        job: &JobResult,
    ) -> StartFailure {
        let unit = self.unit(generation);
        let end = self.store.ends(generation).into_iter().nth(ends_before);
        let (reason, blame) = match (end, job) {
            // Somebody stopped it, or something it needs did not start: its own end says nothing then.
            (_, JobResult::Other(result)) if result != "failed" && result != "timeout" => (
                format!("its start was ended by somebody else ({result})"),
                Blame::Circumstances,
            ),
            (Some(end), _) => (end.describe(), Blame::Release),
            (None, _) => (self.result_of(&unit, job).await, Blame::Release),
        };
        // First ended, then asked for its log: else systemd starts it again meanwhile. Whoever called does it once more,
        // and would see the same error.
        let _ = self.abandon(generation).await;
        StartFailure {
            reason,
            blame,
            log: journal::last_lines(self.which(), &unit).await,
        }
    }

    /// What the manager says where no settle step ran.
    async fn result_of(&self, unit: &str, job: &JobResult) -> String {
        match self.manager.state(unit).await {
            Ok(state) if !matches!(state.result.as_str(), "" | "success") => {
                format!("its unit ended with result `{}`", state.result)
            }
            _ => format!("the start job of {unit} ended with `{job}`"),
        }
    }
}

impl Backend for Systemd {
    async fn start(
        &self,
        generation: Generation,
        deadline: Instant,
    ) -> Result<Result<(), StartFailure>, BackendError> {
        let unit = self.unit(generation);
        let ends_before = self.store.ends(generation).len();
        let started = timeout_at(deadline.into(), self.manager.start(&unit)).await;
        let Ok(job) = started else {
            let reason = format!("the manager did not finish the start of {unit} in time");
            return Ok(Err(StartFailure {
                reason,
                blame: Blame::Circumstances,
                log: Vec::new(),
            }));
        };
        let job = job.map_err(|error| BackendError::new(format!("cannot start {unit}"), error))?;
        if job != JobResult::Done {
            return Ok(Err(self.why(generation, ends_before, &job).await));
        }
        // A condition that says no ends the job with `done` and the unit inactive.
        let state = self.manager.state(&unit).await;
        let state = state.map_err(|error| {
            BackendError::new(format!("cannot ask for the state of {unit}"), error)
        })?;
        if state.is_active() {
            return Ok(Ok(()));
        }
        Ok(Err(self.why(generation, ends_before, &job).await))
    }

    async fn drain(&self, generation: Generation) -> Result<(), BackendError> {
        let unit = self.unit(generation);
        let asked = self.manager.stop_without_waiting(&unit).await;
        asked.map_err(|error| BackendError::new(format!("cannot stop {unit}"), error))
    }

    async fn abandon(&self, generation: Generation) -> Result<(), BackendError> {
        let unit = self.unit(generation);
        let failed = |error| BackendError::new(format!("cannot end {unit}"), error);
        let stopped = tokio::time::timeout(ABANDON_DEADLINE, self.manager.stop(&unit)).await;
        if let Ok(stopped) = stopped {
            stopped.map_err(failed)?;
        }
        self.manager.reset_failed(&unit).await.map_err(failed)
    }

    async fn keep_trying(&self) -> Result<(), BackendError> {
        let unit = unit_names::retry(&self.name);
        let asked = self.manager.start_without_waiting(&unit).await;
        asked.map_err(|error| BackendError::new(format!("cannot start {unit}"), error))
    }

    /// The user manager runs everything as its user.
    fn runs_as(&self, spec: &Spec) -> RunsAs {
        match (self.which(), &spec.allow.user, spec.sandbox) {
            (Which::System, Some(user), _) => RunsAs::Named(user.clone()),
            (Which::System, None, Sandbox::Strict) => RunsAs::Dynamic(format!("pk-{}", self.name)),
            _ => RunsAs::Us,
        }
    }

    async fn running(&self) -> Result<Vec<Running>, BackendError> {
        let pattern = unit_names::generation_pattern(&self.name);
        let units = self.manager.list(&pattern).await;
        let units =
            units.map_err(|error| BackendError::new(format!("cannot list {pattern}"), error))?;
        let mut running: Vec<_> = units
            .into_iter()
            .filter_map(|(unit, state)| {
                let generation = Generation(unit_names::parse_generation(&self.name, &unit)?);
                let phase = match state.active.as_str() {
                    "activating" => Phase::Starting,
                    "active" | "reloading" | "refreshing" => Phase::Serving,
                    "deactivating" => Phase::Draining,
                    _ => return None,
                };
                Some(Running { generation, phase })
            })
            .collect();
        running.sort_unstable_by_key(|one| one.generation);
        Ok(running)
    }
}
