//! Waits until no old generation drains.

use std::time::Duration;

use anyhow::bail;
use portkeep_engine::backend::systemd::Manager;
use portkeep_engine::{Generation, Phase};
use portkeep_spec::AppName;
use tokio::time::{sleep, timeout};

use crate::control::{self, Answer, Ask};

/// Interval of the questions to `portkeep dev`, which sends no signals.
const LOOK: Duration = Duration::from_millis(100);

/// Waits for the apps of a manager, and for those that `portkeep dev` runs.
///
/// # Errors
/// When one drains at the end of the time; the message names it.
pub(super) async fn until_drained(
    manager: Option<&Manager>,
    names: &[AppName],
    local: &[AppName],
    limit: Option<Duration>,
) -> anyhow::Result<()> {
    let wait = async {
        if let Some(manager) = manager {
            manager.drained(names).await?;
        }
        while !local_draining(local)?.is_empty() {
            sleep(LOOK).await;
        }
        anyhow::Ok(())
    };
    let Some(limit) = limit else {
        return wait.await;
    };
    if let Ok(waited) = timeout(limit, wait).await {
        return waited;
    }
    let mut left = local_draining(local)?;
    if let Some(manager) = manager {
        left.extend(manager.draining(names).await?);
    }
    if left.is_empty() {
        return Ok(());
    }
    let left: Vec<_> = left
        .iter()
        .map(|(name, generation)| format!("generation {generation} of {name}"))
        .collect();
    bail!(
        "{} still drains after {}; `portkeep status` says for how long it may",
        left.join(", "),
        humantime::format_duration(limit)
    )
}

fn local_draining(names: &[AppName]) -> anyhow::Result<Vec<(AppName, Generation)>> {
    let mut found = Vec::new();
    // After the end of `portkeep dev`, none of its generations drains.
    for name in names.iter().filter(|name| control::is_served(name)) {
        let Answer::Running(running) = control::ask(name, &Ask::Status)? else {
            continue;
        };
        let drains = running.iter().filter(|one| one.phase == Phase::Draining);
        found.extend(drains.map(|one| (name.clone(), one.generation)));
    }
    Ok(found)
}
