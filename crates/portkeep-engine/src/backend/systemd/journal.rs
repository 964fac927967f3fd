//! The last lines of a unit, for the report of a failure.

use std::time::Duration;

use portkeep_spec::Manager as Which;
use tokio::process::Command;

/// Lines shown: enough for a panic message with its place.
const LINES: &str = "--lines=8";
/// A slow journal must not hold up the report.
const DEADLINE: Duration = Duration::from_secs(3);

/// The last lines that `unit` wrote; none where the journal cannot be read.
pub(super) async fn last_lines(which: Which, unit: &str) -> Vec<String> {
    let unit = match which {
        Which::System => format!("--unit={unit}"),
        Which::User => format!("--user-unit={unit}"),
    };
    let mut command = Command::new("journalctl");
    // `_TRANSPORT` leaves out what the manager itself says of the unit: the caller knows that already.
    command.args([
        unit.as_str(),
        LINES,
        "--output=cat",
        "--no-pager",
        "--quiet",
        "_TRANSPORT=stdout",
    ]);
    command.kill_on_drop(true);
    match tokio::time::timeout(DEADLINE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}
