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
    /// Addresses of the first socket; empty if `portkeep dev` holds it.
    pub(crate) listen: Vec<String>,
    /// All sockets, in the order of the spec.
    pub(crate) sockets: Vec<SocketStatus>,
    /// The generation that accepts connections.
    pub(crate) current: Option<Generation>,
    /// All generations, oldest first.
    pub(crate) generations: Vec<GenerationStatus>,
    /// Problems that show without a diagnosis.
    pub(crate) findings: Vec<Problem>,
    pub(crate) last_handover: Option<HandoverRecord>,
    /// Maintenance, if an operator began it. Only the holding page is started then.
    pub(crate) maintenance: Option<MaintenanceStatus>,
    /// Drain, if an operator took the app out: the app tells load balancers to send no requests.
    pub(crate) drain: Option<DrainStatus>,
}

/// An app that an operator took out.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrainStatus {
    pub(crate) since: Timestamp,
    /// For this time load balancers are told, before connections end.
    pub(crate) grace_milliseconds: u128,
}

/// Maintenance that an operator began.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MaintenanceStatus {
    pub(crate) since: Timestamp,
    /// Message of the page; none for portkeep's own text.
    pub(crate) message: Option<String>,
}

/// One socket.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SocketStatus {
    /// Unit of the socket.
    pub(crate) unit: String,
    /// State, as in `port` of the app.
    pub(crate) state: String,
    /// Addresses of the socket.
    pub(crate) listen: Vec<String>,
}

/// One problem.
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
    /// Whether the generation is portkeep's holding page: no release can serve.
    pub(crate) is_holding_page: bool,
    /// Since this time the generation serves; none before it does.
    pub(crate) since: Option<Timestamp>,
    /// Start of the generation.
    pub(crate) started_at: Option<Timestamp>,
    /// Since this time the generation drains; none before it does.
    pub(crate) draining_since: Option<Timestamp>,
    /// At this time systemd ends the drain; none before the generation drains.
    pub(crate) drains_until: Option<Timestamp>,
    /// Digest of the release.
    pub(crate) digest: Option<String>,
    /// Label of the release.
    pub(crate) label: Option<Label>,
    /// Status that the generation reports (`STATUS=`), such as the number of requests; empty without a report.
    pub(crate) status: String,
    pub(crate) main_pid: Option<u32>,
    /// Restarts after a crash.
    pub(crate) restarts: u32,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) cpu_nanoseconds: Option<u64>,
}

impl AppStatus {
    /// State of an app that `portkeep dev` runs itself.
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

    /// State of an app with units in a manager.
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

    /// Adds the operator's wishes (maintenance and drain), which last until the operator ends them.
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

    /// Adds the current generation. The `current` file may remain after that generation has ended.
    fn note_current(&mut self, current: Option<Generation>) {
        let runs = |current: &Generation| {
            let mut generations = self.generations.iter();
            generations.any(|one| one.generation == *current)
        };
        self.current = current.filter(runs);
    }

    /// The current generation first, then the others from new to old.
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

    /// Adds the facts of the generation's unit.
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
