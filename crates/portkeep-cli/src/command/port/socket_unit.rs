//! Finds the socket unit whose address this is.

use std::net::SocketAddr;

use jiff::Timestamp;
use portkeep_engine::backend::systemd::Manager;
use portkeep_spec::{AppName, Manager as Which, contract};
use serde::Serialize;

use crate::port_owner::{PortConflict, Wanted};

/// A socket unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SocketUnit {
    /// Its name.
    pub(crate) name: String,
    /// Its manager: `system` or `user`.
    #[serde(serialize_with = "as_text")]
    pub(crate) manager: Which,
    /// The portkeep app that it belongs to.
    pub(crate) app: Option<AppName>,
    /// Since when it listens.
    pub(crate) since: Option<Timestamp>,
}

fn as_text<S: serde::Serializer>(manager: &Which, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(manager)
}

/// The socket unit of the found sockets, and the main processes of the owners' units. A manager that does not answer is
/// skipped: the kernel's answer counts without it.
pub(crate) async fn find(wanted: &Wanted, found: &PortConflict) -> (Option<SocketUnit>, Vec<i32>) {
    let (mut unit, mut main_pids) = (None, Vec::new());
    let owners = &found.owners;
    for which in [Which::System, Which::User] {
        let Ok(manager) = Manager::connect(which).await else {
            continue;
        };
        let holds = owners
            .iter()
            .any(|owner| owner.is_systemd() || owner.pid.is_none());
        if unit.is_none() && holds {
            unit = listening_unit(&manager, wanted, found).await;
        }
        for owner in owners.iter().filter(|owner| owner.manager == Some(which)) {
            let Some(unit) = owner
                .unit
                .as_ref()
                .filter(|unit| unit.ends_with(".service"))
            else {
                continue;
            };
            if let Ok(state) = manager.state(unit).await {
                main_pids.extend(i32::try_from(state.main_pid).ok().filter(|pid| *pid != 0));
            }
        }
    }
    (unit, main_pids)
}

async fn listening_unit(
    manager: &Manager,
    wanted: &Wanted,
    found: &PortConflict,
) -> Option<SocketUnit> {
    for (name, listed) in manager.list(&["*.socket"]).await.ok()? {
        if listed.active != "active" {
            continue;
        }
        let Ok(state) = manager.state(&name).await else {
            continue;
        };
        if state
            .listen
            .iter()
            .any(|(_, listens)| is_one_of(wanted, &found.addresses, listens))
        {
            return Some(SocketUnit {
                since: state.active_since(),
                app: app_of(&state.fragment),
                manager: manager.which(),
                name,
            });
        }
    }
    None
}

/// The mark in every unit of an app.
fn app_of(fragment: &str) -> Option<AppName> {
    let text = std::fs::read_to_string(fragment).ok()?;
    let mark = format!("{}=", contract::MARK);
    text.lines()
        .find_map(|line| line.strip_prefix(&mark)?.parse().ok())
}

/// Whether an address of a systemd socket is one of those that were found.
fn is_one_of(wanted: &Wanted, found: &[SocketAddr], listens: &str) -> bool {
    match wanted {
        Wanted::Address(address) if address.path().is_some() => address
            .path()
            .is_some_and(|path| path.as_os_str() == listens),
        _ => listens
            .parse()
            .is_ok_and(|listens: SocketAddr| found.contains(&listens)),
    }
}

#[cfg(test)]
mod tests {
    use portkeep_spec::Address;

    use super::*;

    #[test]
    fn a_unit_is_known_by_its_socket() {
        let found = ["[::]:80".parse().unwrap(), "127.0.0.1:80".parse().unwrap()];
        let any = Wanted::TcpPort(80);
        assert!(is_one_of(&any, &found, "127.0.0.1:80"));
        assert!(is_one_of(&any, &found, "[::]:80"));
        assert!(!is_one_of(&any, &found, "0.0.0.0:80"));
        assert!(!is_one_of(&any, &found, "/run/a"));
        let path = Wanted::Address(Address::stream("/run/a").unwrap());
        assert!(is_one_of(&path, &[], "/run/a"));
        assert!(!is_one_of(&path, &[], "/run/b"));
    }
}
