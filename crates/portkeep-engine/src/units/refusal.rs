//! Reasons to refuse an install before anything is changed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use portkeep_spec::{Address, AppName, Manager as Which, SpecError, unit_names};

use super::sockets::AddressMismatch;
use crate::app_directories::Foreign;

/// A reason against one of the specs.
#[derive(Debug)]
pub struct Refusal {
    /// The file of the spec.
    pub source: PathBuf,
    /// The reason.
    pub why: Why,
}

/// A reason against a spec.
#[derive(Debug)]
#[non_exhaustive]
pub enum Why {
    /// It cannot be read, or breaks a rule.
    Spec(SpecError),
    /// Another file of the same call has the same app.
    Twice {
        /// The app.
        name: AppName,
        /// The other file.
        other: PathBuf,
    },
    /// Another owner's unit has a name that the app's units need.
    Name {
        /// The app.
        name: AppName,
        /// The file of that unit.
        unit: PathBuf,
        /// The app that it belongs to, if any.
        owner: Option<String>,
    },
    /// The app would get a directory of another owner.
    Foreign(Foreign),
    /// The app's directories cannot be used.
    Directories {
        /// The app.
        name: AppName,
        /// The reason.
        error: io::Error,
    },
    /// Another app of ours has the port.
    SamePort {
        /// The address.
        address: Address,
        /// The other app.
        app: AppName,
    },
    /// Somebody else listens on it.
    Held {
        /// The address.
        address: Address,
        /// The owner, and the remedy.
        owner: String,
    },
    /// An open socket would have to listen on another address.
    AddressMismatch {
        /// The app.
        name: AppName,
        /// Its manager.
        which: Which,
        /// The socket.
        socket: AddressMismatch,
    },
    /// The app to replace is not installed.
    NothingToReplace(AppName),
    /// The app that should replace another is installed already.
    ReplacedByItself(AppName),
    /// The app that should replace another would lack one of its ports.
    OtherPort {
        /// The app to replace.
        old: AppName,
        /// The socket.
        socket: AddressMismatch,
    },
}

impl Why {
    /// Whether the call or the spec is wrong, and not the state of the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Directories { .. }
            | Self::SamePort { .. }
            | Self::Held { .. }
            | Self::AddressMismatch { .. } => false,
            Self::Spec(_)
            | Self::Twice { .. }
            | Self::Name { .. }
            | Self::Foreign(_)
            | Self::NothingToReplace(_)
            | Self::ReplacedByItself(_)
            | Self::OtherPort { .. } => true,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec(error) => {
                write!(f, "{error}")?;
                let causes =
                    std::iter::successors(std::error::Error::source(error), |one| one.source());
                causes
                    .into_iter()
                    .try_for_each(|cause| write!(f, ": {cause}"))
            }
            Self::Twice { name, other } => write!(
                f,
                "{} is of the app {name} as well; name one of them only",
                other.display()
            ),
            Self::Name { name, unit, owner } => {
                let unit = unit.display();
                match owner {
                    Some(owner) => write!(
                        f,
                        "{unit} belongs to the app {owner}, and has a name that the units of {name} need; rename one of them"
                    ),
                    None => write!(
                        f,
                        "{unit} has a name that the units of {name} need; rename the app, or remove that unit first"
                    ),
                }
            }
            Self::Foreign(foreign) => foreign.fmt(f),
            Self::Directories { name, error } => {
                write!(f, "the directories of {name} cannot be used: {error}")
            }
            Self::SamePort { address, app } => write!(
                f,
                "{address} is the port of the app {app}; use another address, `portkeep uninstall {app}` first, or replace it \
                 and keep its port open: `portkeep install --replaces {app}`"
            ),
            Self::Held { address, owner } => write!(f, "{address} is held by {owner}"),
            Self::AddressMismatch {
                name,
                which,
                socket,
            } => {
                let AddressMismatch {
                    unit,
                    opened,
                    wanted,
                } = socket;
                let flag = match which {
                    Which::System => "",
                    Which::User => "--user ",
                };
                write!(
                    f,
                    "{unit} is open at {}, and is to listen {}; a socket cannot be changed while it is open: \
                     `systemctl {flag}stop {} '{}'` closes it, then install with --now",
                    address(opened),
                    match wanted {
                        Some(wanted) => format!("at {}", address(wanted)),
                        None => "nowhere".to_owned(),
                    },
                    unit_names::target(name),
                    unit_names::generation_pattern(name),
                )
            }
            Self::NothingToReplace(old) => write!(
                f,
                "there is no app {old} that could be replaced; `portkeep status` lists what is installed"
            ),
            Self::ReplacedByItself(name) => write!(
                f,
                "{name} is installed already, and cannot take the place of another app; uninstall one of them first"
            ),
            Self::OtherPort { old, socket } => write!(
                f,
                "{old} listens at {} ({}), and the app that is to replace it does not: its clients would be refused; let it \
                 listen there as well, or install it without --replaces and uninstall {old}",
                address(&socket.opened),
                socket.unit
            ),
        }
    }
}

/// `Stream=127.0.0.1:80` without the kind of the socket.
fn address(listens: &str) -> &str {
    listens
        .split_once('=')
        .map_or(listens, |(_, address)| address)
}

/// All reasons against an install.
#[derive(Debug)]
pub struct Refusals(pub Vec<Refusal>);

impl Refusals {
    /// Whether the call or a spec is wrong, and not the state of the machine.
    #[must_use]
    pub fn are_usage(&self) -> bool {
        self.0.iter().any(|refusal| refusal.why.is_usage())
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "cannot install {}: {}", one.source.display(), one.why),
            many => {
                write!(f, "nothing was installed:")?;
                many.iter()
                    .try_for_each(|one| write!(f, "\n  {}: {}", one.source.display(), one.why))
            }
        }
    }
}

impl std::error::Error for Refusals {}
