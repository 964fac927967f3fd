//! Settle backend on the units of a systemd manager.
//!
//! D-Bus may be away while an app crashes. Then systemctl, which does not need it, does what is necessary; facts that
//! cannot be read count as unknown.

use portkeep_spec::{AppName, Manager as Which, contract, unit_names};
use tokio::sync::OnceCell;

use super::manager::Manager;
use super::unit_state::UnitState;
use super::without_bus::systemctl;
use crate::backend::BackendError;
use crate::end::End;
use crate::generation::Generation;
use crate::settle::{Handle, HandleReset, SettleBackend};
use crate::store::Store;

/// Properties that show whether a unit runs, or will.
const RUNS: [&str; 2] = ["ActiveState", "Job"];

/// The units of one app, over D-Bus if that is available.
#[derive(Debug)]
pub struct Units {
    which: Which,
    store: Store,
    /// The connection, once it has been made; each use tries again until then.
    manager: OnceCell<Manager>,
}

impl Units {
    /// The units of the app of `store`.
    #[must_use]
    pub fn of(which: Which, store: Store) -> Self {
        Self {
            which,
            store,
            manager: OnceCell::new(),
        }
    }

    /// The same, over an existing connection.
    pub(super) fn by(manager: Manager, store: Store) -> Self {
        Self {
            which: manager.which(),
            store,
            manager: OnceCell::new_with(Some(manager)),
        }
    }

    fn name(&self) -> &AppName {
        self.store.name()
    }

    /// The manager, if D-Bus is available.
    pub async fn manager(&self) -> Option<&Manager> {
        let connect = || Manager::connect(self.which);
        self.manager.get_or_try_init(connect).await.ok()
    }

    /// The end of a unit's last run, and its last status; none if D-Bus is away.
    pub(crate) async fn last_run(&self, unit: &str) -> Option<(End, String)> {
        let state = self.manager().await?.state(unit).await.ok()?;
        Some((state.end(), state.status_text))
    }

    /// Whether the last run of a unit was READY, and its last status; none if D-Bus is away. This reads much less than
    /// [`Self::last_run`].
    pub(crate) async fn last_words(&self, unit: &str) -> Option<(bool, String)> {
        let manager = self.manager().await?;
        let times = [
            "ActiveEnterTimestampMonotonic",
            "InactiveExitTimestampMonotonic",
        ];
        let state = manager.part(unit, &times).await.ok()?;
        let said = manager.status_text(unit).await.unwrap_or_default();
        Some((state.was_ready, said))
    }

    async fn do_to(&self, verb: Verb, unit: &str) -> Result<(), BackendError> {
        let Some(manager) = self.manager().await else {
            return systemctl(self.which, verb.word(), unit).await;
        };
        let done = match verb {
            Verb::Start => manager.start_without_waiting(unit).await,
            Verb::Stop => manager.stop_without_waiting(unit).await,
            Verb::Restart => manager.restart_without_waiting(unit).await,
            Verb::ResetFailed => manager.reset_failed(unit).await,
        };
        match done {
            Ok(()) => Ok(()),
            // The bus may be gone since: an old connection does not show it.
            Err(_) => systemctl(self.which, verb.word(), unit).await,
        }
    }

    async fn state_of_handle(&self) -> Option<UnitState> {
        let handle = unit_names::handle(self.name());
        self.manager().await?.part(&handle, &RUNS).await.ok()
    }

    /// Stops or restarts the handle of an app that nobody serves. `even_reloading` is for a caller that is that reload.
    async fn give_back_handle(
        &self,
        verb: Verb,
        even_reloading: bool,
    ) -> Result<HandleReset, BackendError> {
        let handle = unit_names::handle(self.name());
        let state = self.state_of_handle().await;
        // If its jobs are unknown: an active handle would keep connections waiting for ever.
        if let Some(state) = state {
            match up(&state) {
                Handle::Down => return Ok(HandleReset::NotUp),
                Handle::Starting => return Ok(HandleReset::Busy),
                Handle::Up if state.job.is_some() && !even_reloading => {
                    return Ok(HandleReset::Busy);
                }
                Handle::Up => {}
            }
        }
        self.do_to(verb, &handle).await?;
        Ok(HandleReset::Done)
    }

    /// Nobody serves, and the caller's own handover has just failed.
    pub(super) async fn nobody_serves(&self) -> Result<HandleReset, BackendError> {
        self.give_back_handle(Verb::Stop, true).await
    }
}

/// State of a handle, from the state of its unit.
fn up(state: &UnitState) -> Handle {
    match state.active.as_str() {
        "active" | "reloading" | "refreshing" => Handle::Up,
        "activating" => Handle::Starting,
        // A start that waits for its turn. A stop has no job any more when the unit is inactive.
        "inactive" | "failed" if state.job.is_some() => Handle::Starting,
        _ => Handle::Down,
    }
}

/// Verbs of systemctl.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Start,
    Stop,
    Restart,
    ResetFailed,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::ResetFailed => "reset-failed",
        }
    }
}

impl SettleBackend for Units {
    fn journal(&self) -> Option<Which> {
        Some(self.which)
    }

    async fn is_started(&self, generation: Generation) -> Result<bool, BackendError> {
        let unit = super::unit_of(&self.store, generation);
        let Some(manager) = self.manager().await else {
            return Ok(false);
        };
        let state = super::answer(&unit, manager.part(&unit, &RUNS).await)?;
        Ok(state.is_started())
    }

    async fn handle(&self) -> Handle {
        let state = self.state_of_handle().await;
        state.as_ref().map_or(Handle::Up, up)
    }

    async fn is_looked_after(&self, generation: Generation) -> bool {
        let Some(manager) = self.manager().await else {
            return true;
        };
        let instance = match super::unit_of(&self.store, generation) {
            page if page == unit_names::holding(self.name()) => contract::HOLDING.to_owned(),
            _ => generation.to_string(),
        };
        let settling = unit_names::settle_units(self.name(), &instance);
        let own = super::unit_of(&self.store, generation);
        for unit in [own].into_iter().chain(settling) {
            match manager.part(&unit, &RUNS).await {
                Ok(state) if !state.is_started() && state.active != "deactivating" => {}
                _ => return true,
            }
        }
        false
    }

    async fn somebody_serves(&self) -> bool {
        let Some(manager) = self.manager().await else {
            return true;
        };
        let generations = unit_names::generation_pattern(self.name());
        let page = unit_names::holding(self.name());
        match manager.list(&[&generations, &page]).await {
            Ok(units) => units.iter().any(|(_, state)| state.is_active()),
            Err(_) => true,
        }
    }

    async fn start_again(&self, generation: Generation) -> Result<(), BackendError> {
        let unit = super::unit_of(&self.store, generation);
        // A failed unit that fails again before it has a process changes no state: nobody would be notified.
        self.do_to(Verb::ResetFailed, &unit).await?;
        self.do_to(Verb::Start, &unit).await
    }

    async fn take_back(&self, generation: Generation) -> Result<(), BackendError> {
        self.do_to(Verb::Stop, &super::unit_of(&self.store, generation))
            .await
    }

    async fn rest(&self) -> Result<HandleReset, BackendError> {
        self.give_back_handle(Verb::Stop, false).await
    }

    async fn renew(&self) -> Result<HandleReset, BackendError> {
        self.give_back_handle(Verb::Restart, false).await
    }
}
