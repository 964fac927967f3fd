//! Finds the socket unit that an address is held for.

use jiff::Timestamp;
use portkeep_engine::backend::systemd::Manager;
use portkeep_spec::{Address, AppName, Manager as Which, contract};
use serde::Serialize;

use crate::holder::Holder;

/// A socket unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SocketUnit {
    /// Its name.
    pub(crate) name: String,
    /// Whose it is: `system` or `user`.
    #[serde(serialize_with = "as_text")]
    pub(crate) manager: Which,
    /// The app of portkeep's that it belongs to.
    pub(crate) app: Option<AppName>,
    /// Since when it is open.
    pub(crate) since: Option<Timestamp>,
}

fn as_text<S: serde::Serializer>(manager: &Which, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(manager)
}

/// The socket unit that listens on `address`, and the main processes of the holders' units. A manager that cannot be
/// reached is passed over: what the kernel says is told all the same.
pub(crate) async fn find(address: &Address, holders: &[Holder]) -> (Option<SocketUnit>, Vec<i32>) {
    let (mut found, mut main_pids) = (None, Vec::new());
    for which in [Which::System, Which::User] {
        let Ok(manager) = Manager::connect(which).await else {
            continue;
        };
        let holds = holders
            .iter()
            .any(|holder| holder.is_systemd() || holder.pid.is_none());
        if found.is_none() && holds {
            found = listening_unit(&manager, address).await;
        }
        for holder in holders
            .iter()
            .filter(|holder| holder.manager == Some(which))
        {
            let Some(unit) = holder
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
    (found, main_pids)
}

async fn listening_unit(manager: &Manager, address: &Address) -> Option<SocketUnit> {
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
            .any(|(_, listens)| meets(address, listens))
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

/// The mark that every unit of a family bears.
fn app_of(fragment: &str) -> Option<AppName> {
    let text = std::fs::read_to_string(fragment).ok()?;
    let mark = format!("{}=", contract::MARK);
    text.lines()
        .find_map(|line| line.strip_prefix(&mark)?.parse().ok())
}

/// Whether what systemd listens on stands in the way of `address`.
fn meets(address: &Address, listens: &str) -> bool {
    if let Some(path) = address.path() {
        return path.as_os_str() == listens;
    }
    let (Some(wanted), Ok(held)) = (address.ip(), listens.parse::<std::net::SocketAddr>()) else {
        return false;
    };
    wanted.port() == held.port()
        && (wanted.ip() == held.ip() || wanted.ip().is_unspecified() || held.ip().is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_way() {
        let meets =
            |address: &str, listens| super::meets(&Address::stream(address).unwrap(), listens);
        assert!(meets("127.0.0.1:80", "127.0.0.1:80"));
        assert!(meets("127.0.0.1:80", "[::]:80"));
        assert!(meets("0.0.0.0:80", "127.0.0.1:80"));
        assert!(meets("/run/a", "/run/a"));
        assert!(!meets("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!meets("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!meets("127.0.0.1:80", "/run/a"));
    }
}
