//! The last lines of a unit, for the report of a failure.

use std::time::Duration;

use portkeep_spec::Manager as Which;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// Lines shown: enough for a panic message with its place.
const LINES: &str = "--lines=8";
/// A slow journal must not hold up the report.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long the lines must stay the same where the journal cannot be asked to write down what it has.
const CALM: Duration = Duration::from_millis(100);

/// The last lines that `unit` wrote; none where the journal cannot be read.
///
/// What a process wrote may still be on its way when it has ended. Root asks the journal to write it down first; it does that for
/// nobody else, so a user waits until nothing comes any more.
pub(super) async fn last_lines(which: Which, unit: &str) -> Vec<String> {
    let deadline = Instant::now() + DEADLINE;
    if which == Which::System {
        let mut command = Command::new("journalctl");
        command.args(["--sync", "--quiet"]).kill_on_drop(true);
        // If it fails, we show what is there.
        let _ = timeout(DEADLINE, command.output()).await;
        return read(which, unit).await;
    }
    let mut lines = read(which, unit).await;
    while Instant::now() < deadline {
        sleep(CALM).await;
        let before = std::mem::replace(&mut lines, read(which, unit).await);
        if lines == before {
            break;
        }
    }
    lines
}

async fn read(which: Which, unit: &str) -> Vec<String> {
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
    match timeout(DEADLINE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}
