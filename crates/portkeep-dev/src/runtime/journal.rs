//! Log lines of the app, from the journal.

use std::process::Stdio;

use portkeep_engine::journal::Entry;
use portkeep_engine::process::Lines;
use portkeep_spec::{AppName, Manager as Which};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::event::Event;
use crate::unread_lines::UnreadLines;

/// Follows the lines that generations of `name` write from now on, until the child is dropped.
pub(super) fn follow(
    name: &AppName,
    events: mpsc::UnboundedSender<Event>,
) -> std::io::Result<Child> {
    let mut child = Command::new("journalctl")
        .args([
            "--user",
            "--follow",
            "--lines=0",
            "--output=json",
            "--quiet",
            "_TRANSPORT=stdout",
        ])
        // By identifier: a pattern of unit names would be resolved once, at the start, to existing units.
        .arg(format!("--identifier={name}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Ctrl-C is for this process; the app's last lines come after it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take();
    let name = name.clone();
    tokio::spawn(async move {
        let Some(stdout) = stdout else { return };
        let (mut lines, unread) = (Lines::of_json(stdout), UnreadLines::default());
        while let Ok(Some(line)) = lines.next().await {
            let Ok(entry) = serde_json::from_str::<Entry>(&line) else {
                continue;
            };
            let Some(generation) = entry.generation(&name, Which::User) else {
                continue;
            };
            if unread.add(generation, entry.text())
                && events.send(Event::UnreadLines(unread.clone())).is_err()
            {
                break;
            }
        }
    });
    Ok(child)
}
