//! State of an app, in the shape of `portkeep status --json`.

use std::cmp::Reverse;

use jiff::Timestamp;
use portkeep_engine::backend::systemd::UnitState;
use portkeep_engine::diagnosis::{Finding, Level};
use portkeep_engine::store::HandoverRecord;
use portkeep_engine::{Generation, Phase, Running, Store};
use portkeep_spec::{AppName, Label, Manager as Which};
use serde::Serialize;

use crate::facts::App;
use crate::output::fault;

/// One app.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppStatus {
    pub(crate) name: AppName,
    /// `system`, `user` or `local`.
    pub(crate) backend: String,
    /// State of the first socket: `listening` or `running` while the port is open; `held` by `portkeep dev`.
    pub(crate) port: String,
    /// Where the first socket listens; empty where `portkeep dev` holds it.
    pub(crate) listen: Vec<String>,
    /// All sockets, the first one first.
    pub(crate) sockets: Vec<SocketStatus>,
    /// The generation that accepts connections.
    pub(crate) current: Option<Generation>,
    /// Oldest first.
    pub(crate) generations: Vec<GenerationStatus>,
    /// What is wrong, as far as it can be seen at a glance.
    pub(crate) findings: Vec<Problem>,
    pub(crate) last_handover: Option<HandoverRecord>,
    /// Somebody wants maintenance: nothing but its page is started.
    pub(crate) maintenance: Option<MaintenanceStatus>,
    /// Somebody has it taken out: load balancers are told to send nothing.
    pub(crate) drain: Option<DrainStatus>,
}

/// That somebody has the app taken out.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrainStatus {
    pub(crate) since: Timestamp,
    /// How long load balancers are told before connections end.
    pub(crate) grace_milliseconds: u128,
}

/// Maintenance that somebody wants.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MaintenanceStatus {
    pub(crate) since: Timestamp,
    /// What its page says; none for a text of portkeep's own.
    pub(crate) message: Option<String>,
}

/// One socket.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SocketStatus {
    /// Its unit.
    pub(crate) unit: String,
    /// As `port` of the app.
    pub(crate) state: String,
    /// Where it listens.
    pub(crate) listen: Vec<String>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    pub(crate) level: Level,
    pub(crate) code: &'static str,
    pub(crate) what: String,
}

impl From<&Finding> for Problem {
    fn from(finding: &Finding) -> Self {
        Self {
            level: finding.level(),
            code: finding.fault.code(),
            what: fault::what(&finding.fault),
        }
    }
}

/// One generation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenerationStatus {
    pub(crate) generation: Generation,
    pub(crate) phase: Phase,
    /// It is portkeep's holding page: no release can serve.
    pub(crate) is_holding_page: bool,
    /// Since when it serves; none before.
    pub(crate) since: Option<Timestamp>,
    /// When it was started.
    pub(crate) started_at: Option<Timestamp>,
    /// Since when it drains; none while it does not.
    pub(crate) draining_since: Option<Timestamp>,
    /// What is left of it is cut then; none while it does not drain.
    pub(crate) drains_until: Option<Timestamp>,
    /// The release.
    pub(crate) digest: Option<String>,
    /// What people call that.
    pub(crate) label: Option<Label>,
    /// What it says of itself (`STATUS=`), such as the requests in flight; empty where it says nothing.
    pub(crate) status: String,
    pub(crate) main_pid: Option<u32>,
    /// How often it was restarted after a crash.
    pub(crate) restarts: u32,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) cpu_nanoseconds: Option<u64>,
}

impl AppStatus {
    /// One that a `portkeep dev` runs itself.
    pub(crate) fn local(
        store: &Store,
        generations: Vec<GenerationStatus>,
        last_handover: Option<HandoverRecord>,
    ) -> Self {
        let mut status = Self {
            name: store.name().clone(),
            backend: "local".to_owned(),
            port: "held".to_owned(),
            listen: Vec::new(),
            sockets: Vec::new(),
            current: None,
            generations,
            findings: Vec::new(),
            last_handover,
            maintenance: None,
            drain: None,
        };
        status.note_current(store.current());
        status.note_wishes(store);
        status
    }

    /// One whose units a manager has.
    pub(crate) fn of_units(which: Which, app: &App) -> Self {
        let sockets: Vec<_> = app.units.sockets.iter().map(SocketStatus::from).collect();
        let generations = app.units.generations.iter();
        let generations =
            generations.map(|(one, state)| GenerationStatus::new(*one, &app.store).with(state));
        let first = sockets.first().cloned();
        let mut status = Self {
            name: app.store.name().clone(),
            backend: which.to_string(),
            port: first
                .as_ref()
                .map(|one| one.state.clone())
                .unwrap_or_default(),
            listen: first.map(|one| one.listen).unwrap_or_default(),
            sockets,
            current: None,
            generations: generations.collect(),
            findings: Vec::new(),
            last_handover: app.last.clone(),
            maintenance: None,
            drain: None,
        };
        status.note_current(app.store.current());
        status.note_wishes(&app.store);
        status
    }

    /// What a person wants of it until he says that it is over.
    fn note_wishes(&mut self, store: &Store) {
        self.drain = store.taken_out().map(|one| DrainStatus {
            since: one.since,
            grace_milliseconds: one.grace.as_millis(),
        });
        self.maintenance = store.maintenance().map(|one| MaintenanceStatus {
            since: one.since,
            message: one.message(),
        });
    }

    /// Of a generation that does not run, `current` may be left.
    fn note_current(&mut self, current: Option<Generation>) {
        let runs = |current: &Generation| {
            let mut generations = self.generations.iter();
            generations.any(|one| one.generation == *current)
        };
        self.current = current.filter(runs);
    }

    /// The current one first, then the newer before the older.
    pub(crate) fn current_first(&self) -> Vec<&GenerationStatus> {
        let mut sorted: Vec<_> = self.generations.iter().collect();
        let is_other = |one: &GenerationStatus| Some(one.generation) != self.current;
        sorted.sort_by_key(|one| (is_other(one), Reverse(one.generation)));
        sorted
    }
}

impl From<&(String, UnitState)> for SocketStatus {
    fn from((unit, state): &(String, UnitState)) -> Self {
        let is_known = !state.sub.is_empty() && state.sub != "dead";
        let addresses = state.listen.iter().map(|(_, address)| address.clone());
        Self {
            unit: unit.clone(),
            state: if is_known { &state.sub } else { &state.active }.clone(),
            listen: addresses.collect(),
        }
    }
}

impl GenerationStatus {
    pub(crate) fn new(running: Running, store: &Store) -> Self {
        let digest = store.digest_of(running.generation);
        let release = store.release_of(running.generation);
        Self {
            generation: running.generation,
            phase: running.phase,
            is_holding_page: store.is_holding_page(running.generation),
            since: None,
            started_at: None,
            draining_since: None,
            drains_until: None,
            digest: digest.map(|digest| digest.short().to_owned()),
            label: release.and_then(|release| release.label()),
            status: String::new(),
            main_pid: None,
            restarts: store.crashes(running.generation),
            memory_bytes: None,
            cpu_nanoseconds: None,
        }
    }

    /// With what systemd knows of its unit.
    fn with(mut self, unit: &UnitState) -> Self {
        self.since = unit
            .active_since()
            .filter(|_| self.phase != Phase::Starting);
        self.started_at = unit.started();
        self.draining_since = unit
            .stopping_since()
            .filter(|_| self.phase == Phase::Draining);
        self.drains_until = unit.stops_until();
        self.main_pid = Some(unit.main_pid).filter(|pid| *pid != 0);
        self.memory_bytes = unit.memory_bytes;
        self.cpu_nanoseconds = unit.cpu_nanoseconds;
        self.status.clone_from(&unit.status_text);
        self
    }
}
