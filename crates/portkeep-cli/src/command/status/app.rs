//! What is shown of an app; the shape of `portkeep status --json`.

use jiff::Timestamp;
use portkeep_engine::backend::systemd::UnitState;
use portkeep_engine::store::HandoverRecord;
use portkeep_engine::{Generation, Phase, Running, Store};
use portkeep_spec::AppName;
use serde::Serialize;

/// One app.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppStatus {
    pub(crate) name: AppName,
    /// `system`, `user` or `local`.
    pub(crate) backend: String,
    /// State of the socket unit: `listening` or `running` while the port is open; `held` by `portkeep dev`.
    pub(crate) port: String,
    /// Where the first socket listens; empty where `portkeep dev` holds it.
    pub(crate) listen: Vec<String>,
    /// The generation that accepts connections.
    pub(crate) current: Option<Generation>,
    pub(crate) generations: Vec<GenerationStatus>,
    pub(crate) last_handover: Option<HandoverRecord>,
    /// Somebody wants maintenance: nothing but its page is started.
    pub(crate) maintenance: Option<MaintenanceStatus>,
}

/// Maintenance that somebody wants.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MaintenanceStatus {
    pub(crate) since: Timestamp,
    /// What its page says; none for a text of portkeep's own.
    pub(crate) message: Option<String>,
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
    /// What is left of it is cut then; none while it does not drain.
    pub(crate) drains_until: Option<Timestamp>,
    /// The release.
    pub(crate) digest: Option<String>,
    /// What it says of itself (`STATUS=`), such as the requests in flight; empty where it says nothing.
    pub(crate) status: String,
    pub(crate) main_pid: Option<u32>,
    /// How often it was restarted after a crash.
    pub(crate) restarts: u32,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) cpu_nanoseconds: Option<u64>,
}

impl AppStatus {
    pub(crate) fn new(
        name: AppName,
        backend: &str,
        port: String,
        listen: Vec<String>,
        generations: Vec<GenerationStatus>,
        store: &Store,
    ) -> Self {
        let serves =
            |current: &Generation| generations.iter().any(|one| one.generation == *current);
        let current = store.current().filter(serves);
        // The history is its owner's; what runs is for everybody.
        let last_handover = store
            .history()
            .ok()
            .and_then(|history| history.into_iter().next_back());
        Self {
            name,
            backend: backend.to_owned(),
            port,
            listen,
            current,
            generations,
            last_handover,
            maintenance: store.maintenance().map(|one| MaintenanceStatus {
                since: one.since,
                message: one.message(),
            }),
        }
    }
}

impl GenerationStatus {
    pub(crate) fn new(running: Running, store: &Store) -> Self {
        let digest = store
            .release_of(running.generation)
            .map(|release| release.digest().short().to_owned());
        Self {
            generation: running.generation,
            phase: running.phase,
            is_holding_page: store.is_holding(running.generation),
            since: None,
            drains_until: None,
            digest,
            status: String::new(),
            main_pid: None,
            restarts: store.crashes(running.generation),
            memory_bytes: None,
            cpu_nanoseconds: None,
        }
    }

    /// With what systemd knows of its unit.
    pub(crate) fn with(mut self, unit: UnitState) -> Self {
        self.since = unit
            .active_since()
            .filter(|_| self.phase != Phase::Starting);
        self.drains_until = unit.stops_until();
        self.main_pid = Some(unit.main_pid).filter(|pid| *pid != 0);
        self.memory_bytes = unit.memory_bytes;
        self.cpu_nanoseconds = unit.cpu_nanoseconds;
        self.status = unit.status_text;
        self
    }
}
