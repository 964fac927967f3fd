//! What the path unit triggers, and the look behind it that closes the window in which systemd loses events.

use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use portkeep_engine::backend::systemd::{JobResult, Systemd};
use portkeep_engine::handover::Purpose;
use portkeep_engine::{Moment, drive};
use portkeep_spec::{AppName, unit_names};

use super::reload::perform;
use crate::locate::{own_manager, read_spec, systemd};

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
    // Not by a reload of the handle: that would cost the start of one more process.
    perform(&systemd, name, spec_path, Purpose::Deploy, asked).await
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
        crate::output::outln!("the output changed during the last deploy: deploying again");
        systemd
            .manager()
            .start_without_waiting(&unit_names::deploy(name))
            .await?;
    }
    Ok(ExitCode::SUCCESS)
}
