//! Findings: faults as values with their data.

use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use portkeep_spec::{AppName, Manager as Which};
use serde::Serialize;

use super::facts::{DirectoryFault, HelperFault, PortOwner};
use crate::backend::StartFailure;
use crate::decision::{DecisionKind, Values};
use crate::generation::Generation;
use crate::installed::Mismatch;
use crate::remedy::Remedy;
use crate::stop_limits::ShortLimit;
use crate::store::HandoverResult;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// An app cannot serve or be reloaded, or will not.
    Problem,
    /// The app works, and could work better.
    Advice,
}

/// A fault that was found.
#[derive(Debug)]
pub struct Finding {
    /// The app; none for the machine.
    pub app: Option<AppName>,
    /// The fault.
    pub fault: Fault,
    /// Its remedy.
    pub remedy: Remedy,
}

impl Finding {
    /// Its severity.
    #[must_use]
    pub fn level(&self) -> Level {
        self.fault.level()
    }
}

/// Faults of a machine and its apps.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The manager does not answer.
    ManagerUnreachable {
        /// Which one.
        which: Which,
        /// Its error.
        why: String,
    },
    /// The user manager ends with the last session.
    NoLinger,
    /// The kernel makes listen queues shorter than the units ask for.
    ShortQueues {
        /// The longest queue that the kernel makes.
        limit: u32,
        /// The longest queue that a unit asks for.
        wanted: u32,
    },
    /// The kernel resets connections when a queue is full.
    AbortOnOverflow,
    /// The control groups are not unified.
    Cgroups,
    /// The app's units are not loaded.
    NotInstalled {
        /// systemd's word: `not-found`, `bad-setting`.
        load: String,
    },
    /// Its spec cannot be used.
    Spec {
        /// Why.
        why: String,
    },
    /// The helper that its units call does not work.
    Helper {
        /// Where it is.
        path: PathBuf,
        /// Why.
        fault: HelperFault,
    },
    /// Unit files have changed since systemd read them.
    DaemonReload {
        /// True for the unit of a running generation.
        of_generation: bool,
    },
    /// Units differ from those that this portkeep would write.
    OutdatedUnits {
        /// Which ones.
        units: Vec<String>,
    },
    /// No release can be made of the build.
    Executable {
        /// Why.
        why: String,
    },
    /// A directory of the app's cannot be used.
    Directory(DirectoryFault),
    /// A socket listens on another address than the spec says.
    ListenChanged {
        /// Its unit.
        unit: String,
        /// The address that it listens on.
        loaded: String,
        /// The address in the spec.
        wanted: String,
    },
    /// systemd calls a socket active, but nobody listens on its address.
    WithoutDescriptor {
        /// Its unit.
        unit: String,
        /// Its address.
        address: String,
    },
    /// A Unix socket listens, but its path is gone, so nobody can connect.
    LostPath {
        /// Its unit.
        unit: String,
        /// The path.
        path: PathBuf,
    },
    /// A socket is not open.
    PortClosed {
        /// Its unit.
        unit: String,
        /// systemd's result, if it failed.
        failed: Option<String>,
    },
    /// A socket is not open, because somebody else owns its address.
    PortTaken {
        /// Its unit.
        unit: String,
        /// systemd's result, if it failed.
        failed: Option<String>,
        /// The owner.
        owner: PortOwner,
    },
    /// No interface of this machine has the address.
    AddressMissing {
        /// The unit of the socket.
        unit: String,
        /// The address.
        address: IpAddr,
        /// The interface that could get it.
        interface: String,
    },
    /// A socket will not be open after the next boot.
    NotEnabled {
        /// Its unit.
        unit: String,
    },
    /// The move socket is not open.
    MoveSocketClosed {
        /// Its unit.
        unit: String,
    },
    /// The move socket is open, but nobody can connect.
    MoveSocketDead {
        /// Its unit.
        unit: String,
    },
    /// Nothing serves, and the last start failed.
    NothingServes {
        /// Why it failed.
        reason: Option<String>,
    },
    /// The handle is active, but no generation is.
    NoGeneration {
        /// The handle.
        handle: String,
    },
    /// A generation serves beside the current one.
    TwoCurrent {
        /// The current one.
        current: Option<Generation>,
        /// The others.
        others: Vec<Generation>,
    },
    /// No release can serve.
    HoldingPage {
        /// Why none can.
        reason: Option<String>,
    },
    /// Something else serves than what is installed.
    NotServed(Mismatch),
    /// A person has taken the app out, so load balancers send it nothing.
    TakenOut {
        /// Since when.
        since: Timestamp,
    },
    /// systemd ends a drain, or the time in which load balancers are told of a shutdown, earlier than the spec says.
    ShortLimit(ShortLimit),
    /// A generation has nearly as many files open as it may.
    OpenFiles {
        /// Which one.
        generation: Generation,
        /// How many.
        open: u64,
        /// How many it may have.
        limit: u64,
        /// The path of a drop-in for its unit.
        drop_ins: PathBuf,
    },
    /// The current generation crashed, and was started again.
    Crashes {
        /// Which one.
        generation: Generation,
        /// How often.
        times: u32,
    },
}

impl Fault {
    /// Stable name of the kind of fault, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ManagerUnreachable { .. } => "manager-unreachable",
            Self::NoLinger => "no-linger",
            Self::ShortQueues { .. } => "somaxconn",
            Self::AbortOnOverflow => "abort-on-overflow",
            Self::Cgroups => "cgroups",
            Self::NotInstalled { .. } => "not-installed",
            Self::Spec { .. } => "spec",
            Self::Helper { .. } => "helper",
            Self::DaemonReload { .. } => "daemon-reload",
            Self::OutdatedUnits { .. } => "outdated-units",
            Self::Executable { .. } => "executable",
            Self::Directory(DirectoryFault::NoExec { .. }) => "no-exec",
            Self::Directory(_) => "directory",
            Self::ListenChanged { .. } => "listen-changed",
            Self::WithoutDescriptor { .. } => "socket-without-descriptor",
            Self::LostPath { .. } => "socket-path-lost",
            Self::PortClosed { .. } => "port-closed",
            Self::PortTaken { .. } => "port-taken",
            Self::AddressMissing { .. } => "address-missing",
            Self::NotEnabled { .. } => "not-enabled",
            Self::MoveSocketClosed { .. } => "move-socket-closed",
            Self::MoveSocketDead { .. } => "move-socket-without-descriptor",
            Self::NothingServes { .. } => "nothing-serves",
            Self::NoGeneration { .. } => "no-generation",
            Self::TwoCurrent { .. } => "two-current",
            Self::HoldingPage { .. } => "holding-page",
            Self::NotServed(instead) => code_of(instead),
            Self::TakenOut { .. } => "taken-out",
            Self::ShortLimit(_) => "stop-limit",
            Self::OpenFiles { .. } => "open-files",
            Self::Crashes { .. } => "crashes",
        }
    }

    /// The decision that led to it, if one did: the journal explains it in the same words.
    #[must_use]
    pub fn decided(&self) -> Option<DecisionKind> {
        Some(match self {
            Self::NothingServes { .. } => DecisionKind::NothingServes,
            Self::HoldingPage { .. } => DecisionKind::HoldingPage,
            Self::NotServed(instead) => return instead.decided(),
            Self::Crashes { .. } => DecisionKind::StartedAgain,
            Self::TakenOut { .. } => DecisionKind::TakenOut,
            _ => return None,
        })
    }

    /// The fault in the journal's words; none if no decision led to it.
    #[must_use]
    pub fn words_of_the_journal(&self) -> Option<String> {
        Some(self.decided()?.what(&self.values()))
    }

    /// The values for the text of that decision.
    pub(super) fn values(&self) -> Values<'_> {
        let reason = match self {
            Self::NothingServes { reason } | Self::HoldingPage { reason } => reason.as_deref(),
            Self::NotServed(instead) => instead.reason(),
            _ => None,
        };
        let (generation, crashes) = match self {
            Self::Crashes { generation, times } => (Some(*generation), *times),
            _ => (None, 0),
        };
        Values {
            generation,
            crashes,
            reason: reason.map(StartFailure::first_clause),
        }
    }

    /// The severity of a fault.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::NoLinger
            | Self::ShortQueues { .. }
            | Self::Cgroups
            | Self::OutdatedUnits { .. }
            // A standby machine does not have its address yet.
            | Self::AddressMissing { .. }
            | Self::NotEnabled { .. }
            | Self::MoveSocketClosed { .. }
            | Self::MoveSocketDead { .. }
            | Self::TakenOut { .. }
            | Self::ShortLimit(_)
            | Self::Crashes { .. } => Level::Advice,
            // It was rolled back after portkeep had reported that it serves.
            Self::NotServed(Mismatch::Failed { result, .. }) if result.serves() => Level::Problem,
            Self::NotServed(_) => Level::Advice,
            _ => Level::Problem,
        }
    }
}

fn code_of(instead: &Mismatch) -> &'static str {
    match instead {
        Mismatch::Holding => "holding-page",
        Mismatch::Maintenance => "maintenance",
        Mismatch::Failed {
            result: HandoverResult::FellBack,
            ..
        } => "fell-back",
        Mismatch::Failed { .. } => "last-handover-failed",
        Mismatch::RolledBack { .. } => "rolled-back",
        Mismatch::NotHandedOver | Mismatch::OtherFiles => "not-handed-over",
        Mismatch::OtherSettings => "settings-not-applied",
    }
}
