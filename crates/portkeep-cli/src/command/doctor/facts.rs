//! What is looked at before anything is decided.

use portkeep_engine::backend::systemd::UnitState;
use portkeep_engine::maintenance::Maintenance;
use portkeep_engine::{Generation, Phase};
use portkeep_spec::{AppName, Manager as Which};

/// The machine.
#[derive(Debug, Clone)]
pub(crate) struct MachineFacts {
    pub(crate) which: Which,
    /// systemd's version, or why its manager cannot be asked.
    pub(crate) version: Result<String, String>,
    /// Whether the user manager outlives the last session; none for the system manager.
    pub(crate) lingers: Option<bool>,
    /// `net.core.somaxconn`, the longest queue that the kernel makes.
    pub(crate) somaxconn: Option<u32>,
    /// `net.ipv4.tcp_abort_on_overflow`.
    pub(crate) aborts_on_overflow: bool,
    /// Memory and processor time are accounted: the control groups are unified.
    pub(crate) unified_cgroups: bool,
}

/// One app.
#[derive(Debug, Clone)]
pub(crate) struct AppFacts {
    pub(crate) name: AppName,
    pub(crate) which: Which,
    /// Why the spec that its units name cannot be used.
    pub(crate) bad_spec: Option<String>,
    /// Why a handover would be refused for its executable.
    pub(crate) bad_executable: Option<String>,
    pub(crate) target: UnitState,
    pub(crate) handle: UnitState,
    pub(crate) sockets: Vec<SocketFacts>,
    /// The units whose files are not what this portkeep renders from the spec.
    pub(crate) outdated: Vec<String>,
    /// The `portkeep` that the units call, if it is missing or cannot be executed.
    pub(crate) helper_missing: Option<String>,
    pub(crate) current: Option<Generation>,
    pub(crate) generations: Vec<GenerationFacts>,
    /// Directories of the app with little space left, or that cannot be written, and why.
    pub(crate) bad_directories: Vec<String>,
    /// Since when there is maintenance, where somebody wants it.
    pub(crate) maintenance: Option<Maintenance>,
    /// Why the last handover failed, where it did.
    pub(crate) last_failure: Option<String>,
}

/// One socket unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct SocketFacts {
    pub(crate) unit: String,
    pub(crate) state: UnitState,
    /// The address of the spec; none for the move socket.
    pub(crate) wanted: Option<String>,
    /// Whether anybody listens at the address that systemd has loaded; none where that cannot be told.
    pub(crate) somebody_listens: Option<bool>,
    /// Who listens on the wanted address while the unit does not.
    pub(crate) held_by: Option<(String, String)>,
    /// The queue that the spec asks for.
    pub(crate) backlog: Option<u32>,
}

/// One generation.
#[derive(Debug, Clone)]
pub(crate) struct GenerationFacts {
    pub(crate) generation: Generation,
    pub(crate) phase: Phase,
    /// It is the holding page.
    pub(crate) is_holding_page: bool,
    /// How often it was restarted after a crash.
    pub(crate) restarts: u32,
    /// Open files of its main process, and how many it may have.
    pub(crate) open_files: Option<(u64, u64)>,
}
