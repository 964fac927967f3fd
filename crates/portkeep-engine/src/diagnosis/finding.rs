//! What was found: facts, not words.

use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use portkeep_spec::{AppName, Manager as Which};
use serde::Serialize;

use super::facts::{DirectoryFault, HelperFault, Holder};
use crate::backend::StartFailure;
use crate::decision::{Decided, Values};
use crate::generation::Generation;
use crate::installed::Instead;
use crate::remedy::Remedy;
use crate::store::HandoverResult;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It keeps an app, or what is installed of it, from serving or from being reloaded, or will.
    Problem,
    /// It works, and could be better.
    Advice,
}

/// One thing that was found.
#[derive(Debug)]
pub struct Finding {
    /// The app; none for the machine.
    pub app: Option<AppName>,
    /// What is wrong.
    pub fault: Fault,
    /// What to do.
    pub remedy: Remedy,
}

impl Finding {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        self.fault.level()
    }
}

/// What can be wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The manager cannot be asked.
    ManagerUnreachable {
        /// Which one.
        which: Which,
        /// What was said.
        why: String,
    },
    /// The user manager ends with the last session.
    NoLinger,
    /// The kernel makes shorter queues than are asked for.
    ShortQueues {
        /// The longest that it makes.
        limit: u32,
        /// The longest that is asked for.
        wanted: u32,
    },
    /// The kernel resets connections where they could wait.
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
    /// The helper that its units call is of no use.
    Helper {
        /// Where it is.
        path: PathBuf,
        /// Why.
        fault: HelperFault,
    },
    /// systemd has not read what is on disk.
    DaemonReload {
        /// It is the unit of a generation that runs.
        of_generation: bool,
    },
    /// Units are not what this portkeep would write.
    OutdatedUnits {
        /// Which ones.
        units: Vec<String>,
    },
    /// There is nothing to start.
    Executable {
        /// Why.
        why: String,
    },
    /// A directory of the app's cannot be used.
    Directory(DirectoryFault),
    /// A socket listens elsewhere than the spec says.
    ListenChanged {
        /// Its unit.
        unit: String,
        /// Where it listens.
        loaded: String,
        /// What the spec says.
        wanted: String,
    },
    /// systemd calls a socket active, and nobody listens there.
    WithoutDescriptor {
        /// Its unit.
        unit: String,
        /// Where it should listen.
        address: String,
    },
    /// A Unix socket listens, and nobody can connect: its path is gone.
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
        /// systemd's result, where it failed.
        failed: Option<String>,
    },
    /// A socket is not open, because somebody else has its address.
    PortTaken {
        /// Its unit.
        unit: String,
        /// systemd's result, where it failed.
        failed: Option<String>,
        /// Who.
        holder: Holder,
    },
    /// No interface of this machine has the address.
    AddressMissing {
        /// The unit of the socket.
        unit: String,
        /// The address.
        address: IpAddr,
        /// The interface that could be given it.
        interface: String,
    },
    /// A socket is not opened at the next boot.
    NotEnabled {
        /// Its unit.
        unit: String,
    },
    /// The move socket is not open.
    MoveSocketClosed {
        /// Its unit.
        unit: String,
    },
    /// The move socket is open, and nobody can connect.
    MoveSocketDead {
        /// Its unit.
        unit: String,
    },
    /// Nothing serves, and the last try to start something failed.
    NothingServes {
        /// Why it failed.
        reason: Option<String>,
    },
    /// The handle is active, and no generation is.
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
        /// Why not.
        reason: Option<String>,
    },
    /// What serves is not what is installed.
    NotServed(Instead),
    /// A person has it taken out, and load balancers send nothing.
    TakenOut {
        /// Since when.
        since: Timestamp,
    },
    /// A generation has most of the files open that it may have.
    OpenFiles {
        /// Which one.
        generation: Generation,
        /// How many.
        open: u64,
        /// How many it may have.
        limit: u64,
        /// Where a drop-in of its unit belongs.
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
    /// Names the kind of it, for programs; it stays the same.
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
            Self::OpenFiles { .. } => "open-files",
            Self::Crashes { .. } => "crashes",
        }
    }

    /// The decision that led to it, where one did: the journal has the same words.
    #[must_use]
    pub fn decided(&self) -> Option<Decided> {
        Some(match self {
            Self::NothingServes { .. } => Decided::NothingServes,
            Self::HoldingPage { .. } => Decided::HoldingPage,
            Self::NotServed(instead) => return instead.decided(),
            Self::Crashes { .. } => Decided::StartedAgain,
            Self::TakenOut { .. } => Decided::TakenOut,
            _ => return None,
        })
    }

    /// What is wrong, in the words that the journal has for it; none where no decision led to it.
    #[must_use]
    pub fn words_of_the_journal(&self) -> Option<String> {
        Some(self.decided()?.what(&self.values()))
    }

    /// What the text of that decision is filled with.
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

    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::NoLinger
            | Self::ShortQueues { .. }
            | Self::Cgroups
            | Self::OutdatedUnits { .. }
            // A machine that stands by for another does not have its address.
            | Self::AddressMissing { .. }
            | Self::NotEnabled { .. }
            | Self::MoveSocketClosed { .. }
            | Self::MoveSocketDead { .. }
            | Self::TakenOut { .. }
            | Self::Crashes { .. } => Level::Advice,
            // It was taken back by itself after somebody was told that it serves.
            Self::NotServed(Instead::Failed { result, .. }) if result.serves() => Level::Problem,
            Self::NotServed(_) => Level::Advice,
            _ => Level::Problem,
        }
    }
}

fn code_of(instead: &Instead) -> &'static str {
    match instead {
        Instead::Holding => "holding-page",
        Instead::Maintenance => "maintenance",
        Instead::Failed {
            result: HandoverResult::FellBack,
            ..
        } => "fell-back",
        Instead::Failed { .. } => "last-handover-failed",
        Instead::RolledBack { .. } => "rolled-back",
        Instead::NotHandedOver | Instead::OtherFiles => "not-handed-over",
        Instead::OtherSettings => "settings-not-applied",
    }
}
