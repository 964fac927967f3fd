//! What the path unit triggers, and the look behind it that closes the window in which systemd loses events.

use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use portkeep_engine::backend::systemd::{JobResult, Systemd};
use portkeep_engine::handover::{Purpose, Unchanged};
use portkeep_engine::{Moment, Request, drive, hand_over};
use portkeep_spec::{AppName, unit_names};

use super::reload::failed;
use crate::locate::{own_manager, read_spec, systemd};
use crate::output::outcome_line;

pub(super) async fn run(
    name: &AppName,
    spec_path: &Path,
    asked: Moment,
) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    let handle = unit_names::handle(name);
    if !systemd.manager().state(&handle).await?.is_active() {
        return start_handle(&systemd, &handle).await;
    }
    systemd.store().note_spec(spec_path)?;
    let spec = read_spec(spec_path)?;
    // Not by a reload of the handle: that would cost the start of one more process.
    let request = Request {
        purpose: Purpose::Deploy,
        unchanged: Unchanged::IsDone,
        asked,
    };
    match hand_over(&systemd, systemd.store(), &spec, request).await {
        Ok(outcome) => {
            anstream::println!("{}", outcome_line(name, &outcome));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => failed(&systemd, name, error).await,
    }
}

async fn start_handle(systemd: &Systemd, handle: &str) -> anyhow::Result<ExitCode> {
    match systemd.manager().start(handle).await? {
        JobResult::Done => Ok(ExitCode::SUCCESS),
        other => Err(anyhow!(
            "the start of {handle} ended with `{other}`; see `systemctl status {handle}`"
        )),
    }
}

pub(super) async fn recheck(name: &AppName, spec_path: &Path) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    let spec = read_spec(spec_path)?;
    if drive::has_changed(systemd.store(), &spec) {
        anstream::println!("the output changed during the last deploy: deploying again");
        systemd
            .manager()
            .start_without_waiting(&unit_names::deploy(name))
            .await?;
    }
    Ok(ExitCode::SUCCESS)
}
