//! Owners of an address, as text and as JSON.

use serde::Serialize;

use super::socket_unit::SocketUnit;
use crate::output::{clip, local_time};
use crate::port_owner::PortOwner;

/// Output of `portkeep port --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PortReport {
    /// The requested address.
    pub(crate) address: String,
    /// Whether a process listens on the address.
    pub(crate) held: bool,
    /// The socket unit of the address, if systemd holds it.
    #[serde(rename = "socketUnit")]
    pub(crate) unit: Option<SocketUnit>,
    /// The processes that own the listening socket, in order of their number.
    #[serde(rename = "holders")]
    pub(crate) owners: Vec<PortOwner>,
    #[serde(skip)]
    pub(crate) main_pids: Vec<i32>,
}

impl PortReport {
    pub(crate) fn print(&self) {
        for line in self.lines() {
            crate::output::outln!("{line}");
        }
    }

    fn lines(&self) -> Vec<String> {
        if !self.held {
            return vec![format!("nobody listens on {}", self.address)];
        }
        let mut lines = vec![format!("{} is held by", self.address)];
        if let Some(unit) = &self.unit {
            let app = unit.app.as_ref().map(|app| format!(", app {app}"));
            let since = unit
                .since
                .map(|since| format!(", open since {}", local_time(since)));
            lines.push(format!(
                "  {} ({} manager{}{})",
                unit.name,
                unit.manager,
                app.unwrap_or_default(),
                since.unwrap_or_default()
            ));
        }
        for owner in &self.owners {
            lines.extend(describe(owner));
        }
        lines
    }
}

fn describe(owner: &PortOwner) -> Vec<String> {
    let Some(pid) = owner.pid else {
        let uid = owner.uid.map(|uid| format!(" (uid {uid})"));
        return vec![format!(
            "  a process of another user{}; `sudo` sees more",
            uid.unwrap_or_default()
        )];
    };
    let mut facts = Vec::new();
    if let (Some(unit), Some(manager)) = (&owner.unit, owner.manager) {
        facts.push(format!("{unit} ({manager})"));
    }
    facts.extend(
        owner
            .since
            .map(|since| format!("since {}", local_time(since))),
    );
    let mut lines = vec![clip(&format!("  process {pid:<7} {}", owner.command))];
    if !facts.is_empty() {
        lines.push(format!("                  {}", facts.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use portkeep_spec::Manager as Which;

    use super::*;
    use crate::output::COLUMNS;

    fn report() -> PortReport {
        PortReport {
            address: "127.0.0.1:8080".to_owned(),
            held: true,
            unit: Some(SocketUnit {
                name: "hello.socket".to_owned(),
                manager: Which::User,
                app: Some("hello".parse().unwrap()),
                since: Some("2026-11-20T16:01:02Z".parse().unwrap()),
            }),
            owners: vec![
                PortOwner {
                    pid: Some(4242),
                    command: "/run/hello ".repeat(20),
                    unit: Some("hello@3.service".to_owned()),
                    manager: Some(Which::User),
                    ..PortOwner::default()
                },
                PortOwner::default(),
            ],
            main_pids: vec![4242],
        }
    }

    /// Programs rely on this output: fields may be added, but none may change.
    #[test]
    fn the_json_is_as_documented() {
        let json = serde_json::to_value(report()).unwrap();
        let keys = |value: &serde_json::Value| {
            let keys = value.as_object().unwrap().keys();
            keys.map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(&json), "address held holders socketUnit");
        assert_eq!(keys(&json["socketUnit"]), "app manager name since");
        assert_eq!(
            keys(&json["holders"][0]),
            "command manager pid since uid unit"
        );
        assert_eq!(json["holders"][0]["manager"], "user");
    }

    #[test]
    fn it_names_unit_and_process_and_fits_a_terminal() {
        let lines = report().lines();
        let shown = lines.join("\n");
        for words in [
            "hello.socket (user manager, app hello, open since 2026-11-20",
            "process 4242",
            "hello@3.service (user)",
            "another user",
        ] {
            assert!(shown.contains(words), "`{words}` is missing in:\n{shown}");
        }
        assert!(
            lines.iter().all(|line| line.chars().count() <= COLUMNS),
            "{shown}"
        );
    }
}
