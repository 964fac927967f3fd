//! Facts that a diagnosis is made from.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use portkeep_spec::{AppName, Manager as Which};

use crate::backend::systemd::UnitState;
use crate::directories::Untrusted;
use crate::generation::{Generation, Phase};
use crate::installed::Mismatch;
use crate::stop_limits::ShortLimit;
use crate::taken_out::TakenOut;

/// Facts about the machine.
#[derive(Debug, Clone)]
pub struct MachineFacts {
    /// The manager.
    pub which: Which,
    /// systemd's version, or why its manager does not answer.
    pub version: Result<String, String>,
    /// Whether the user manager outlives the last session; none for the system manager.
    pub lingers: Option<bool>,
    /// `net.core.somaxconn`, the longest queue that the kernel makes.
    pub somaxconn: Option<u32>,
    /// `net.ipv4.tcp_abort_on_overflow`.
    pub aborts_on_overflow: bool,
    /// Whether memory and processor time are accounted: the control groups are unified.
    pub unified_cgroups: bool,
}

/// Facts about an app.
#[derive(Debug)]
pub struct AppFacts {
    /// Its name.
    pub name: AppName,
    /// The manager of its units.
    pub which: Which,
    /// The spec that `portkeep install` placed; none if Nix or `portkeep dev` places the units.
    pub installed_spec: Option<PathBuf>,
    /// The directory of its units.
    pub unit_directory: Option<PathBuf>,
    /// Why the spec that its units name cannot be used.
    pub bad_spec: Option<String>,
    /// Why a handover would be refused for its executable.
    pub bad_executable: Option<String>,
    /// The app as a whole.
    pub target: UnitState,
    /// The unit that people start, reload and stop.
    pub handle: UnitState,
    /// Its sockets.
    pub sockets: Vec<SocketFacts>,
    /// Units whose files differ from what this portkeep renders from the spec.
    pub outdated: Vec<String>,
    /// The fault of the `portkeep` that the units call.
    pub helper: Option<(PathBuf, HelperFault)>,
    /// The generation that accepts connections.
    pub current: Option<Generation>,
    /// All running generations.
    pub generations: Vec<GenerationFacts>,
    /// Faults of the app's directories.
    pub directories: Vec<DirectoryFault>,
    /// What serves instead of the installed release.
    pub instead: Option<Mismatch>,
    /// systemd's time limits that cut what the spec promises.
    pub short_limits: Vec<ShortLimit>,
    /// Set if a person has it taken out.
    pub taken_out: Option<TakenOut>,
    /// Why the last handover did not bring the requested release to serve.
    pub last_reason: Option<String>,
}

/// Why a helper cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperFault {
    /// Nothing is there.
    Missing,
    /// Its mode forbids executing it.
    NotExecutable,
    /// Its file system, mounted there, forbids executing.
    NoExec(PathBuf),
    /// Another user could replace it: the reason.
    Untrusted(String),
    /// It was run, with this result: made for another machine, truncated, without its loader.
    DoesNotRun(String),
}

/// Fault of a directory that handovers write to.
#[derive(Debug, Clone)]
pub enum DirectoryFault {
    /// Its file system is mounted read-only.
    ReadOnly {
        /// The directory.
        directory: PathBuf,
        /// The mount point.
        mount: PathBuf,
    },
    /// Its file system forbids executing, and releases run from it.
    NoExec {
        /// The directory.
        directory: PathBuf,
        /// The mount point.
        mount: PathBuf,
    },
    /// Little space is left.
    Full {
        /// The directory.
        directory: PathBuf,
        /// Free bytes.
        free: u64,
    },
    /// Another user could put anything in its place.
    Untrusted(Arc<Untrusted>),
}

/// One socket unit.
#[derive(Debug, Clone, Default)]
pub struct SocketFacts {
    /// Its name.
    pub unit: String,
    /// Its state.
    pub state: UnitState,
    /// The address of the spec; none for the move socket.
    pub wanted: Option<String>,
    /// Whether somebody listens on the address that systemd has loaded; none if unknown.
    pub somebody_listens: Option<bool>,
    /// The path of a Unix socket that listens, but is gone from its path.
    pub lost_path: Option<PathBuf>,
    /// The owner of the wanted address while the unit does not listen.
    pub held_by: Option<PortOwner>,
    /// The queue length in the spec.
    pub backlog: Option<u32>,
    /// Its address if no interface of this machine has it, and an interface that could get it.
    pub missing_address: Option<(IpAddr, String)>,
}

/// The owner of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    /// Process, command and unit.
    pub who: String,
    /// The address, as `portkeep port` takes it.
    pub address: String,
    /// Whether it is a datagram socket of the network.
    pub is_udp: bool,
    /// Whether it can be seen, and so be asked to stop.
    pub is_seen: bool,
}

/// One generation.
#[derive(Debug, Clone)]
pub struct GenerationFacts {
    /// Its number.
    pub generation: Generation,
    /// Its phase.
    pub phase: Phase,
    /// Whether it is the holding page.
    pub is_holding_page: bool,
    /// Whether its unit's files changed since systemd read them.
    pub needs_daemon_reload: bool,
    /// Number of restarts after crashes.
    pub restarts: u32,
    /// Number of open files of its main process, and the limit.
    pub open_files: Option<(u64, u64)>,
}
