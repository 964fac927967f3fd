//! Last log lines of a unit, for the report of a failure.

use std::time::Duration;

use portkeep_spec::{AppName, Manager as Which};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::UnitState;
use crate::journal::Entry;

/// Lines shown: enough for a panic message with its place.
const LINES: usize = 8;
/// Number of lines that are searched for those of a user's unit: other generations of the app may write meanwhile.
const LOOKED_THROUGH: &str = "--lines=500";
/// A slow journal must not hold up the report.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long the lines must stay the same if the journal cannot be asked to sync.
const CALM: Duration = Duration::from_millis(100);

// Message ids of a manager about a run of a unit (systemd's sd-messages.h).
const STARTING: &str = "7d4958e842da4a758f6c1cdc7b36dcc5";
const SUCCEEDED: &str = "7ad2d189f7e94e70a38c781354912448";
const FAILED: &str = "d9b373ed55a64feb8242e02dbe79a49c";

/// The last lines of `unit` of the app `name`, whose last run has ended; none if the journal cannot be read.
///
/// A line may still be on its way when its process has ended. Root asks the journal to sync first, which it does for nobody
/// else. A user waits until the journal has the manager's message about the end, and then until no more lines come.
pub(super) async fn last_lines(
    which: Which,
    name: &AppName,
    unit: &str,
    state: &UnitState,
) -> Vec<String> {
    if which == Which::System {
        let mut command = Command::new("journalctl");
        command.args(["--sync", "--quiet"]).kill_on_drop(true);
        // If it fails, the available lines are shown.
        let _ = timeout(DEADLINE, command.output()).await;
        let wanted = [
            format!("--unit={unit}"),
            format!("--lines={LINES}"),
            // Without the manager's own messages about the unit: the caller knows those.
            "_TRANSPORT=stdout".to_owned(),
        ];
        return read(&wanted).await.iter().map(Entry::text).collect();
    }
    let deadline = Instant::now() + DEADLINE;
    let wanted = [
        LOOKED_THROUGH.to_owned(),
        "_TRANSPORT=stdout".to_owned(),
        format!("SYSLOG_IDENTIFIER={name}"),
        format!("_UID={}", rustix::process::getuid().as_raw()),
        "+".to_owned(),
        format!("USER_INVOCATION_ID={}", state.invocation),
    ];
    let mut found = of_run(&read(&wanted).await, unit, &state.invocation);
    while Instant::now() < deadline {
        sleep(CALM).await;
        let now = of_run(&read(&wanted).await, unit, &state.invocation);
        let calm = now.ended && now == found;
        found = now;
        if calm {
            break;
        }
    }
    found.lines
}

#[derive(Debug, Default, PartialEq, Eq)]
struct OfRun {
    /// Whether the journal has the manager's message about its end.
    ended: bool,
    lines: Vec<String>,
}

/// The entries of a user's journal about the last run of `unit`, which has the id `run`.
///
/// journald looks up the process of a line when it reads the line, and finds none if the process has ended. So a line
/// without a unit, by the app's name, counts as one of this run if it came after its start: the other generations of the
/// app still run.
fn of_run(entries: &[Entry], unit: &str, run: &str) -> OfRun {
    let mut found = OfRun::default();
    let mut started = false;
    for entry in entries {
        started |= entry.says_of_run(run, &[STARTING]);
        found.ended |= entry.says_of_run(run, &[SUCCEEDED, FAILED]);
        let wrote = entry.written_by(Which::User);
        if wrote == unit || (started && wrote.is_empty()) {
            found.lines.push(entry.text());
        }
    }
    found.lines.drain(..found.lines.len().saturating_sub(LINES));
    found
}

pub(super) async fn read(wanted: &[String]) -> Vec<Entry> {
    let mut command = Command::new("journalctl");
    command
        .args(["--output=json", "--no-pager", "--quiet"])
        .args(wanted)
        .kill_on_drop(true);
    match timeout(DEADLINE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => output
            .stdout
            .split(|&byte| byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(entries: Vec<Value>) -> OfRun {
        let entries: Vec<Entry> = entries
            .into_iter()
            .map(|entry| serde_json::from_value(entry).unwrap())
            .collect();
        of_run(&entries, "hello@2.service", "run")
    }

    fn wrote(unit: &str, line: &str) -> Value {
        json!({ "_SYSTEMD_USER_UNIT": unit, "MESSAGE": line })
    }

    fn says(kind: &str) -> Value {
        json!({
            "_SYSTEMD_USER_UNIT": "init.scope", "USER_UNIT": "hello@2.service", "USER_INVOCATION_ID": "run",
            "MESSAGE_ID": kind, "MESSAGE": "of the manager",
        })
    }

    #[test]
    fn lines_of_a_process_that_has_ended_are_found() {
        let lost = json!({ "MESSAGE": "lost" });
        let found = of(vec![
            json!({ "MESSAGE": "of an earlier run" }),
            says(STARTING),
            wrote("hello@1.service", "of another generation"),
            wrote("hello@2.service", "known"),
            lost,
            says(FAILED),
        ]);
        assert!(found.ended);
        assert_eq!(found.lines, ["known", "lost"]);
    }

    #[test]
    fn before_the_journal_knows_of_the_end_more_may_come() {
        assert!(!of(vec![says(STARTING), wrote("hello@2.service", "one")]).ended);
        assert!(of(vec![says(SUCCEEDED)]).ended);
        let mut claimed = says(FAILED);
        claimed["_SYSTEMD_USER_UNIT"] = json!("other.service");
        assert!(!of(vec![claimed]).ended);
    }

    #[test]
    fn the_last_ones_are_shown() {
        let many = (0..20).map(|n| wrote("hello@2.service", &n.to_string()));
        let found = of(many.collect());
        assert_eq!(
            found.lines,
            ["12", "13", "14", "15", "16", "17", "18", "19"]
        );
    }
}
