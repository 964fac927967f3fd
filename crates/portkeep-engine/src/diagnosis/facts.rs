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

/// The machine.
#[derive(Debug, Clone)]
pub struct MachineFacts {
    /// Which manager is asked.
    pub which: Which,
    /// systemd's version, or why its manager cannot be asked.
    pub version: Result<String, String>,
    /// Whether the user manager outlives the last session; none for the system manager.
    pub lingers: Option<bool>,
    /// `net.core.somaxconn`, the longest queue that the kernel makes.
    pub somaxconn: Option<u32>,
    /// `net.ipv4.tcp_abort_on_overflow`.
    pub aborts_on_overflow: bool,
    /// Memory and processor time are accounted: the control groups are unified.
    pub unified_cgroups: bool,
}

/// One app.
#[derive(Debug)]
pub struct AppFacts {
    /// Its name.
    pub name: AppName,
    /// Whose units they are.
    pub which: Which,
    /// The spec that `portkeep install` placed; none where somebody else places the units (Nix, `portkeep dev`).
    pub installed_spec: Option<PathBuf>,
    /// Where its units are placed.
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
    /// The units whose files are not what this portkeep renders from the spec.
    pub outdated: Vec<String>,
    /// What is wrong with the `portkeep` that the units call.
    pub helper: Option<(PathBuf, HelperFault)>,
    /// The generation that accepts connections.
    pub current: Option<Generation>,
    /// All that run.
    pub generations: Vec<GenerationFacts>,
    /// What is wrong with the app's directories.
    pub directories: Vec<DirectoryFault>,
    /// What serves instead of what is installed.
    pub instead: Option<Mismatch>,
    /// The time limits of systemd that cut what the spec promises.
    pub short_limits: Vec<ShortLimit>,
    /// That a person has it taken out.
    pub taken_out: Option<TakenOut>,
    /// Why the last handover did not bring what was asked for to serve, where it did not.
    pub last_reason: Option<String>,
}

/// Why a helper is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperFault {
    /// Nothing is there.
    Missing,
    /// Its mode does not let it be executed.
    NotExecutable,
    /// It is on a file system that nothing is executed from, which is mounted there.
    NoExec(PathBuf),
    /// Somebody else could replace it: why.
    Untrusted(String),
    /// It was tried, and this came of it: made for another machine, cut off, without its loader.
    DoesNotRun(String),
}

/// What is wrong with a directory that handovers write to.
#[derive(Debug, Clone)]
pub enum DirectoryFault {
    /// It is on a file system that is mounted read-only, there.
    ReadOnly {
        /// The directory.
        directory: PathBuf,
        /// Where the file system is mounted.
        mount: PathBuf,
    },
    /// Nothing is executed from its file system, and releases are run from it.
    NoExec {
        /// The directory.
        directory: PathBuf,
        /// Where the file system is mounted.
        mount: PathBuf,
    },
    /// Little space is left.
    Full {
        /// The directory.
        directory: PathBuf,
        /// What is left, in bytes.
        free: u64,
    },
    /// Somebody else could put anything in its place.
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
    /// Whether anybody listens at the address that systemd has loaded; none where that cannot be told.
    pub somebody_listens: Option<bool>,
    /// The path of a Unix socket that listens, but is not at its path any more.
    pub lost_path: Option<PathBuf>,
    /// Who listens on the wanted address while the unit does not.
    pub held_by: Option<PortOwner>,
    /// The queue that the spec asks for.
    pub backlog: Option<u32>,
    /// Its address, where no interface of this machine has it, and the interface that could be given it.
    pub missing_address: Option<(IpAddr, String)>,
}

/// Who holds an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    /// Process, command and unit.
    pub who: String,
    /// The address, as `portkeep port` takes it.
    pub address: String,
    /// It is a datagram socket of the network.
    pub is_udp: bool,
    /// It can be seen, and so be asked to stop.
    pub is_seen: bool,
}

/// One generation.
#[derive(Debug, Clone)]
pub struct GenerationFacts {
    /// Which one.
    pub generation: Generation,
    /// What it does.
    pub phase: Phase,
    /// It is the holding page.
    pub is_holding_page: bool,
    /// Its unit's files changed since systemd read them.
    pub needs_daemon_reload: bool,
    /// How often it was restarted after a crash.
    pub restarts: u32,
    /// Open files of its main process, and how many it may have.
    pub open_files: Option<(u64, u64)>,
}
