//! Generations as units of a systemd manager, over D-Bus.
//!
//! D-Bus is not visible outside this module.

mod apps;
mod batch;
mod connect;
mod drained;
mod handle;
mod job;
mod last_lines;
mod manager;
mod proxy;
mod release_command;
mod secrets;
mod settle;
mod start_messages;
mod stop_limits;
mod unit_path;
mod unit_state;
mod without_bus;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use portkeep_spec::{AppName, Manager as Which, Readiness, Sandbox, Spec, unit_names, user_name};
use tokio::time::timeout_at;

pub use crate::backend::JobResult;
pub use apps::{AppUnits, Depth};
pub use batch::Ended;
pub use manager::{Manager, ManagerError, Until};
pub use settle::Units;
pub use unit_state::UnitState;
pub use without_bus::is_stopping;

use crate::backend::{ABANDON_PATIENCE, Backend, BackendError, StartFailure};
use crate::end::{Cause, End};
use crate::generation::{Generation, Phase, Running};
use crate::move_socket;
use crate::release_command::ReleaseCommand;
use crate::settle::HandleReset;
use crate::socket_use::{Misuse, accepts, says_in_use, socket_use};
use crate::store::Store;
use crate::user::RunsAs;

/// How long before the end of a start its failure is explained.
const BEFORE_DEADLINE: Duration = Duration::from_millis(500);

/// How long the kernel may take to end killed processes.
const KILL_DEADLINE: Duration = Duration::from_secs(60);

/// Runs the generations of one app as `NAME@N.service`, and its holding page as `NAME-holding.service`.
#[derive(Debug)]
pub struct Systemd {
    manager: Manager,
    store: Store,
    name: AppName,
    /// How the program of the last failed start used its sockets.
    misuse: Mutex<Option<Misuse>>,
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
            misuse: Mutex::default(),
        }
    }

    fn note_misuse(&self, misuse: Misuse) {
        *self.misuse.lock().unwrap_or_else(PoisonError::into_inner) = Some(misuse);
    }

    /// How the program of the last failed start used its sockets, if that was seen; once.
    #[must_use]
    pub fn take_misuse(&self) -> Option<Misuse> {
        let mut misuse = self.misuse.lock().unwrap_or_else(PoisonError::into_inner);
        misuse.take()
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

    /// The manager's kind.
    #[must_use]
    pub fn which(&self) -> Which {
        self.manager.which()
    }

    /// The unit of `generation`.
    #[must_use]
    pub fn unit(&self, generation: Generation) -> String {
        unit_of(&self.store, generation)
    }

    /// Whether the unit of `generation` runs as another generation, which is current. All holding pages of an app share one
    /// unit: one that a killed helper left behind continues as the next.
    fn is_now_current(&self, generation: Generation) -> bool {
        let current = self.store.current();
        let other = current.filter(|current| *current != generation);
        other.is_some_and(|current| self.unit(current) == self.unit(generation))
    }

    async fn state(&self, unit: &str) -> Result<UnitState, BackendError> {
        answer(unit, self.manager.state(unit).await)
    }

    async fn part(&self, unit: &str, properties: &[&str]) -> Result<UnitState, BackendError> {
        answer(unit, self.manager.part(unit, properties).await)
    }

    /// Why the start job failed. The unit is kept until this has looked.
    async fn why(
        &self,
        generation: Generation,
        job: &JobResult,
    ) -> Result<StartFailure, BackendError> {
        let unit = self.unit(generation);
        let state = self.state(&unit).await?;
        let end = state.end();
        match (job, end.cause()) {
            // Somebody stopped it, or a unit that it needs did not start: its own end means nothing then.
            (JobResult::Other(result), _) if result != "failed" && result != "timeout" => {
                Ok(StartFailure::by_circumstances(format!(
                    "its start was ended by somebody else ({result})"
                )))
            }
            // Ended in good order, before it was looked at.
            (JobResult::Done, Cause::Clean) => {
                let end = End {
                    result: "protocol".to_owned(),
                    ..end
                };
                Ok(self.failure(&unit, &state, &end).await)
            }
            (_, Cause::Clean) => Ok(StartFailure::by_circumstances(format!(
                "the start job of {unit} ended with `{job}`"
            ))),
            _ => Ok(self.failure(&unit, &state, &end).await),
        }
    }

    /// Lets a generation that is about to drain connect to the move socket. If it cannot, it ends its connections itself.
    async fn let_connections_move(&self, unit: &str) {
        let given = match self.manager.user_of(unit).await {
            Ok(user) => move_socket::give_to(self.store.run_directory(), user),
            Err(error) => Err(std::io::Error::other(error)),
        };
        if let Err(error) = given {
            tracing::warn!(%error, unit, "its connections cannot move to the next generation");
        }
    }

    /// Ends a unit with all its processes: it is stopped, and killed soon after.
    async fn end_unit(&self, unit: &str) -> Result<(), BackendError> {
        let failed = |error| BackendError::new(format!("cannot end {unit}"), error);
        let stopped = tokio::time::timeout(ABANDON_PATIENCE, self.manager.stop(unit)).await;
        if let Ok(stopped) = stopped {
            return stopped.map(|_| ()).map_err(failed);
        }
        self.manager.kill(unit).await.map_err(failed)?;
        match tokio::time::timeout(KILL_DEADLINE, self.manager.stop(unit)).await {
            Ok(stopped) => stopped.map(|_| ()).map_err(failed),
            Err(_) => Err(BackendError::new(
                format!("cannot end {unit}"),
                "it was killed and does not end: a process of it waits in the kernel",
            )),
        }
    }

    async fn failure(&self, unit: &str, state: &UnitState, end: &End) -> StartFailure {
        let lines = last_lines::last_lines(self.which(), &self.name, unit, state).await;
        let failure = StartFailure::of(end, lines);
        match failure.cause {
            Some(Cause::Setup(_)) => StartFailure {
                said: start_messages::start_messages(self.which(), unit, state).await,
                ..failure
            },
            _ => failure,
        }
    }

    /// Makes sure that the sockets for a generation exist: without them it would fail, and its release would be blamed.
    async fn open_sockets(
        &self,
        generation: Generation,
    ) -> Result<Option<StartFailure>, BackendError> {
        let unit = self.unit(generation);
        let needed = self.part(&unit, &["TriggeredBy"]).await?.sockets;
        let patterns: Vec<_> = needed.iter().map(String::as_str).collect();
        if patterns.is_empty() {
            return Ok(None);
        }
        let failed =
            |error| BackendError::new(format!("cannot look at the sockets of {unit}"), error);
        let open: Vec<_> = self
            .manager
            .list(&patterns)
            .await
            .map_err(failed)?
            .into_iter()
            .filter(|(_, state)| state.is_active())
            .map(|(unit, _)| unit)
            .collect();
        for socket in needed.iter().filter(|socket| !open.contains(socket)) {
            let job = self.manager.start(socket).await.map_err(failed)?;
            // The move socket is no reason not to serve.
            if job != JobResult::Done && *socket != unit_names::move_socket(&self.name) {
                return Ok(Some(StartFailure::by_circumstances(format!(
                    "{socket} does not listen (`{job}`), so that no socket could be passed to it; \
                     see `systemctl status {socket}`"
                ))));
            }
        }
        Ok(None)
    }

    /// Makes sure that exactly one unit answers on the health sockets: which one may change with a generation.
    async fn pass_health_on(&self, unit: &str) {
        let passed = self.part(unit, &["TriggeredBy"]).await;
        let passed = passed.map(|state| state.sockets).unwrap_or_default();
        let is_health = |socket: &String| unit_names::is_health_socket(&self.name, socket);
        let health = unit_names::health(&self.name);
        let asked = if passed.iter().any(is_health) {
            self.manager.stop_without_waiting(&health).await
        } else if self.is_left_to_an_app(&health).await {
            self.manager.start_without_waiting(&health).await
        } else {
            return;
        };
        if let Err(error) = asked {
            tracing::warn!(%error, "what is told on the health sockets may be wrong or missing");
        }
    }

    /// Whether systemd still counts a health socket as answered by an earlier generation, although nobody answers any more:
    /// then systemd would start nothing.
    async fn is_left_to_an_app(&self, health: &str) -> bool {
        let socket = unit_names::health_socket(&self.name);
        let socket = self.part(&socket, &["SubState"]).await;
        if socket.is_ok_and(|socket| socket.sub != "running") {
            return false;
        }
        let service = self.part(health, &["LoadState", "ActiveState"]).await;
        service.is_ok_and(|service| service.load == "loaded" && service.active == "inactive")
    }

    /// Waits until the process of a generation that cannot say READY takes connections. False if it ends before.
    async fn takes_connections(&self, unit: &str) -> Result<bool, BackendError> {
        let process = self.manager.main_process(unit).await;
        let process = process.map_err(|error| {
            BackendError::new(format!("cannot ask for the process of {unit}"), error)
        })?;
        Ok(accepts(process).await)
    }

    /// Whether a started unit is ready; nothing if it neither becomes ready in time nor ends.
    async fn is_ready(
        &self,
        unit: &str,
        readiness: Readiness,
        deadline: Instant,
    ) -> Result<Option<bool>, BackendError> {
        // An unmet condition ends the job with `done` and the unit inactive.
        if !self.part(unit, &["ActiveState"]).await?.is_active() {
            return Ok(Some(false));
        }
        if readiness == Readiness::Accepts && unit != unit_names::holding(&self.name) {
            // The caller has the same deadline, and knows less.
            let deadline = deadline - BEFORE_DEADLINE;
            let takes = timeout_at(deadline.into(), self.takes_connections(unit)).await;
            return takes.ok().transpose();
        }
        Ok(Some(true))
    }
}

fn answer(unit: &str, state: Result<UnitState, ManagerError>) -> Result<UnitState, BackendError> {
    state.map_err(|error| BackendError::new(format!("cannot ask for the state of {unit}"), error))
}

/// The unit of `generation`.
fn unit_of(store: &Store, generation: Generation) -> String {
    // An unknown page has the number that is never assigned.
    if generation == Generation(0) || store.is_holding_page(generation) {
        unit_names::holding(store.name())
    } else {
        unit_names::generation(store.name(), generation.0)
    }
}

/// The phase of a generation, from the state of its unit; none if it does not run.
fn phase_of(state: &UnitState) -> Option<Phase> {
    match state.active.as_str() {
        "activating" => Some(Phase::Starting),
        "active" | "reloading" | "refreshing" => Some(Phase::Serving),
        "deactivating" => Some(Phase::Draining),
        // Its start waits until its last end is settled.
        _ if state.job.is_some() => Some(Phase::Starting),
        _ => None,
    }
}

impl Backend for Systemd {
    fn journal(&self) -> Option<Which> {
        Some(self.which())
    }

    async fn start(
        &self,
        generation: Generation,
        readiness: Readiness,
        deadline: Instant,
    ) -> Result<Result<(), StartFailure>, BackendError> {
        let unit = self.unit(generation);
        let failed = |error| BackendError::new(format!("cannot start {unit}"), error);
        // Otherwise nothing would be known about a unit that has ended by the time of the look.
        self.manager.keep(&unit).await.map_err(failed)?;
        if let Some(failure) = self.open_sockets(generation).await? {
            return Ok(Err(failure));
        }
        let started = timeout_at(deadline.into(), self.manager.start(&unit)).await;
        let Ok(job) = started else {
            return Ok(Err(StartFailure::by_circumstances(format!(
                "the manager did not finish the start of {unit} in time"
            ))));
        };
        let job = job.map_err(failed)?;
        if job == JobResult::Done {
            self.pass_health_on(&unit).await;
            match self.is_ready(&unit, readiness, deadline).await? {
                Some(true) => return Ok(Ok(())),
                Some(false) => {}
                None => {
                    let process = self.manager.main_process(&unit).await.map_err(failed)?;
                    let misuse = Misuse::of(&socket_use(process));
                    let failure = StartFailure::misuses(&misuse);
                    self.note_misuse(misuse);
                    return Ok(Err(failure));
                }
            }
        }
        let failure = self.why(generation, &job).await?;
        if failure.log.iter().any(|line| says_in_use(line)) {
            self.note_misuse(Misuse::PortInUse);
        }
        Ok(Err(failure))
    }

    async fn drain(&self, generation: Generation) -> Result<(), BackendError> {
        if self.is_now_current(generation) {
            return Ok(());
        }
        let unit = self.unit(generation);
        self.let_connections_move(&unit).await;
        let failed = |error| BackendError::new(format!("cannot stop {unit}"), error);
        if unit == unit_names::holding(&self.name) {
            // The last version of portkeep ran its page as a generation.
            let before = unit_names::generation(&self.name, generation.0);
            let asked = self.manager.stop_without_waiting(&before).await;
            asked.map_err(failed)?;
        }
        self.manager
            .stop_without_waiting(&unit)
            .await
            .map_err(failed)
    }

    async fn abandon(&self, generation: Generation) -> Result<(), BackendError> {
        if self.is_now_current(generation) {
            return Ok(());
        }
        self.end_unit(&self.unit(generation)).await
    }

    async fn run_release_command(
        &self,
        generation: Generation,
        command: &ReleaseCommand,
    ) -> Result<Result<(), StartFailure>, BackendError> {
        self.run_release_unit(generation, command).await
    }

    async fn end_release_command(&self, generation: Generation) -> Result<(), BackendError> {
        let unit = unit_names::release(&self.name, generation.0);
        self.end_unit(&unit).await
    }

    async fn keep_trying(&self) -> Result<(), BackendError> {
        let unit = unit_names::retry(&self.name);
        let asked = self.manager.start_without_waiting(&unit).await;
        asked.map_err(|error| BackendError::new(format!("cannot start {unit}"), error))
    }

    async fn watch_secrets(&self, directories: &BTreeSet<PathBuf>) -> Result<(), BackendError> {
        self.watch_by_units(directories).await
    }

    async fn settings(&self) -> Result<String, BackendError> {
        // Any number will do: the text is the template's. The current one is loaded already; loading one that never runs
        // would also load the units that settle its ends.
        let current = self.store.current_app().unwrap_or(Generation(0));
        let unit = unit_names::generation(&self.name, current.0);
        let state = self.part(&unit, &["FragmentPath", "DropInPaths"]).await?;
        Ok(state.text())
    }

    async fn nobody_serves(&self) -> Result<HandleReset, BackendError> {
        Units::by(self.manager.clone(), self.store.clone())
            .nobody_serves()
            .await
    }

    /// The user manager runs everything as its user.
    fn runs_as(&self, spec: &Spec) -> RunsAs {
        match (self.which(), &spec.allow.user, spec.sandbox) {
            (Which::System, Some(user), _) => RunsAs::Named(user.clone()),
            (Which::System, None, Sandbox::Strict) => RunsAs::Dynamic(user_name(&self.name)),
            _ => RunsAs::Us,
        }
    }

    async fn running(&self) -> Result<Vec<Running>, BackendError> {
        let pattern = unit_names::generation_pattern(&self.name);
        let holding = unit_names::holding(&self.name);
        let units = self.manager.list(&[&pattern, &holding]).await;
        let units =
            units.map_err(|error| BackendError::new(format!("cannot list {pattern}"), error))?;
        let mut running: Vec<_> = units
            .into_iter()
            .filter_map(|(unit, state)| {
                let generation = if unit == holding {
                    self.store.holding_generation().unwrap_or(Generation(0))
                } else {
                    Generation(unit_names::parse_generation(&self.name, &unit)?)
                };
                let phase = phase_of(&state)?;
                Some(Running { generation, phase })
            })
            .collect();
        running.sort_unstable_by_key(|one| one.generation);
        Ok(running)
    }
}
