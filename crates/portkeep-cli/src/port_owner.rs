//! Owner of a port: process, command and unit.

pub(crate) mod connections;
mod find;
#[cfg(target_os = "linux")]
mod reach;
#[cfg(target_os = "linux")]
mod trial;
mod wanted;

use std::fmt;

use jiff::Timestamp;
use portkeep_spec::Manager as Which;
use serde::Serialize;

use crate::output::inline;

pub(crate) use find::{Asked, PortConflict, all, ask_to_stop, is_held, listening_at, of};
pub(crate) use wanted::Wanted;

/// A process that listens on an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(Default))]
#[serde(rename_all = "camelCase")]
pub(crate) struct PortOwner {
    /// Its number; none if the kernel hides it because another user runs it.
    pub(crate) pid: Option<i32>,
    /// The user it runs as.
    pub(crate) uid: Option<u32>,
    /// Its command line; empty if the kernel hides it.
    pub(crate) command: String,
    /// The systemd unit it belongs to.
    pub(crate) unit: Option<String>,
    /// The manager of that unit: `system` or `user`.
    #[serde(serialize_with = "manager_word")]
    pub(crate) manager: Option<Which>,
    /// When the process started.
    pub(crate) since: Option<Timestamp>,
}

fn manager_word<S: serde::Serializer>(
    manager: &Option<Which>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    manager.map(|which| which.to_string()).serialize(serializer)
}

impl fmt::Display for PortOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid} ({})", inline(&self.command))?,
            None => f.write_str("a process of another user")?,
        }
        if let Some(unit) = &self.unit {
            write!(f, " of the unit {}", inline(unit))?;
        }
        Ok(())
    }
}

impl PortOwner {
    /// True for a systemd manager itself, which owns the ports of its socket units.
    pub(crate) fn is_systemd(&self) -> bool {
        let program = self.command.split_whitespace().next().unwrap_or_default();
        self.unit.as_deref() == Some("init.scope")
            && (program.ends_with("/systemd") || program.ends_with("/init"))
            || self.pid == Some(1)
    }

    /// What a person can do about it.
    pub(crate) fn remedy(&self) -> String {
        let user = if self.manager == Some(Which::User) {
            "--user "
        } else {
            ""
        };
        match (self.pid, &self.unit) {
            (Some(_), _) if self.is_systemd() => format!(
                "systemd holds it for a socket unit: `systemctl {user}list-sockets` names it; stop that unit, or use another \
                 address (--listen)"
            ),
            (Some(_), Some(unit)) if unit.ends_with(".service") => {
                format!("`systemctl {user}stop {unit}` ends it; or use another address (--listen)")
            }
            (Some(pid), _) => format!("`kill {pid}` ends it; or use another address (--listen)"),
            (None, _) => {
                "`sudo portkeep port` names it; or use another address (--listen)".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_from_what_it_runs() {
        let owner = |pid, command: &str, unit: &str| PortOwner {
            pid: Some(pid),
            command: command.to_owned(),
            unit: Some(unit.to_owned()),
            ..PortOwner::default()
        };
        assert!(owner(1, "/sbin/init", "init.scope").is_systemd());
        assert!(owner(812, "/usr/lib/systemd/systemd --user", "init.scope").is_systemd());
        assert!(!owner(813, "/opt/systemd", "app.service").is_systemd());
        assert!(!owner(814, "python3 -m http.server", "init.scope").is_systemd());
    }
}
