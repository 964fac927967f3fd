//! Runs the reload command, at set intervals.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;
use tokio::time::Instant;

use super::plan::Plan;
use super::progress::Progress;
use super::releases::{Releases, ServedRelease};

/// One reload, in times since the beginning of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reload {
    /// When its command started.
    pub(crate) start: Duration,
    /// When it ended.
    pub(crate) end: Duration,
    /// Its output, if it failed.
    pub(crate) failure: Option<String>,
}

/// Runs all reloads.
pub(crate) async fn run(
    plan: &Plan,
    begin: Instant,
    progress: &Progress,
) -> anyhow::Result<(Vec<Reload>, Vec<ServedRelease>)> {
    let first = Instant::now();
    let mut reloads = Vec::new();
    let mut releases = Releases::default();
    releases.look(plan.app.as_ref());
    for number in 0..plan.times {
        tokio::time::sleep_until(first + plan.every * number).await;
        let start = Instant::now();
        let failure = reload(&plan.reload).await?;
        reloads.push(Reload {
            start: start.duration_since(begin),
            end: begin.elapsed(),
            failure,
        });
        releases.look(plan.app.as_ref());
        progress.reloads(u64::from(number) + 1);
    }
    Ok((reloads, releases.into_served()))
}

/// Runs one reload. Returns its output if it failed.
async fn reload(command: &str) -> anyhow::Result<Option<String>> {
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // A file and not a pipe: a process that the command leaves running (a server) would hold a pipe open.
    let said = tempfile::tempfile().context("cannot make a file for what the reload says")?;
    shell.stdout(said.try_clone()?).stderr(said.try_clone()?);
    let status = shell
        .status()
        .await
        .context("cannot run /bin/sh for the reload")?;
    if status.success() {
        return Ok(None);
    }
    let mut said = said;
    std::io::Seek::rewind(&mut said)?;
    let text = std::io::read_to_string(said).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    Ok(Some(match last {
        Some(line) => format!("{status}: {line}"),
        None => status.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reload_that_fails_tells_its_last_line_and_what_it_leaves_running_is_not_waited_for()
    {
        assert_eq!(reload("true").await.unwrap(), None);
        let told = reload("echo one; echo two >&2; exit 3")
            .await
            .unwrap()
            .unwrap();
        assert!(told.contains('3') && told.ends_with(": two"), "{told}");
        let begin = std::time::Instant::now();
        assert_eq!(reload("sleep 5 &").await.unwrap(), None);
        assert!(begin.elapsed() < Duration::from_secs(4));
    }
}
