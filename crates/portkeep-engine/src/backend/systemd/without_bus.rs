//! Operations that must work without D-Bus: systemctl speaks to the manager directly.

use std::process::Stdio;
use std::time::Duration;

use portkeep_spec::Manager as Which;
use tokio::process::Command;

use crate::backend::BackendError;

/// A manager that is reloading answers when it has finished.
const DEADLINE: Duration = Duration::from_secs(20);

/// Whether the manager shuts down: then it has stopped D-Bus, or is about to.
///
/// # Errors
/// When systemctl cannot be run.
pub async fn is_stopping(which: Which) -> Result<bool, BackendError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
        let doing = format!("cannot run `systemctl --{which} is-system-running`");
        BackendError::new(doing, source)
    };
    let mut command = Command::new("systemctl");
    command.args([&format!("--{which}"), "is-system-running"]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output())
        .await
        .map_err(|elapsed| failed(elapsed.into()))?
        .map_err(|error| failed(error.into()))?;
    Ok(output.stdout.trim_ascii() == b"stopping")
}

/// Runs `systemctl --no-block VERB UNIT`.
pub(super) async fn systemctl(which: Which, verb: &str, unit: &str) -> Result<(), BackendError> {
    let mut command = Command::new("systemctl");
    command.args([&format!("--{which}"), "--no-block", "--quiet", verb, unit]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
        BackendError::new(
            format!("cannot run `systemctl --{which} {verb} {unit}`"),
            source,
        )
    };
    let status = tokio::time::timeout(DEADLINE, command.status())
        .await
        .map_err(|elapsed| failed(elapsed.into()))?
        .map_err(|error| failed(error.into()))?;
    if status.success() {
        return Ok(());
    }
    Err(failed(format!("it failed ({status})").into()))
}
