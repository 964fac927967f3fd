//! Who holds an address, for people and for programs.

use serde::Serialize;

use super::socket_unit::SocketUnit;
use crate::holder::Holder;
use crate::output::{clip, local_time};

/// The shape of `portkeep port --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PortReport {
    /// The address that was asked for.
    pub(crate) address: String,
    /// Whether anybody listens there.
    pub(crate) held: bool,
    /// The socket unit that systemd holds it for.
    #[serde(rename = "socketUnit")]
    pub(crate) unit: Option<SocketUnit>,
    /// The processes that have the listening socket, the one with the smallest number first.
    pub(crate) holders: Vec<Holder>,
    #[serde(skip)]
    pub(crate) main_pids: Vec<i32>,
}

impl PortReport {
    pub(crate) fn print(&self) {
        for line in self.lines() {
            anstream::println!("{line}");
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
        for holder in &self.holders {
            lines.extend(describe(holder));
        }
        lines
    }
}

fn describe(holder: &Holder) -> Vec<String> {
    let Some(pid) = holder.pid else {
        let uid = holder.uid.map(|uid| format!(" (uid {uid})"));
        return vec![format!(
            "  a process of another user{}; `sudo` sees more",
            uid.unwrap_or_default()
        )];
    };
    let mut facts = Vec::new();
    if let (Some(unit), Some(manager)) = (&holder.unit, holder.manager) {
        facts.push(format!("{unit} ({manager})"));
    }
    facts.extend(
        holder
            .since
            .map(|since| format!("since {}", local_time(since))),
    );
    let mut lines = vec![clip(&format!("  process {pid:<7} {}", holder.command))];
    if !facts.is_empty() {
        lines.push(format!("                  {}", facts.join(", ")));
    }
    lines
}
