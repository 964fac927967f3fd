//! What must be done even where D-Bus is away: systemctl speaks to the manager directly.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow};
use portkeep_spec::Manager as Which;
use tokio::process::Command;

/// A manager that is being reloaded answers after that.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs `systemctl --no-block VERB UNIT`.
pub(crate) async fn systemctl(which: Which, verb: &str, unit: &str) -> anyhow::Result<()> {
    let mut command = Command::new("systemctl");
    command.args([&format!("--{which}"), "--no-block", "--quiet", verb, unit]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let shown = || format!("`systemctl --{which} {verb} {unit}`");
    let status = tokio::time::timeout(DEADLINE, command.status())
        .await
        .with_context(|| format!("{} did not end in time", shown()))?
        .with_context(|| format!("cannot run {}", shown()))?;
    if status.success() {
        return Ok(());
    }
    Err(anyhow!("{} failed ({status})", shown()))
}
