//! The handle's `ExecReload=`.

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::handover::{Purpose, Unchanged};
use portkeep_engine::{Backend, Request, hand_over};
use portkeep_spec::{AppName, unit_names};

use crate::locate::{own_manager, read_spec, systemd};
use crate::output::outcome_line;

pub(super) async fn run(
    name: &AppName,
    spec_path: &Path,
    asked: Timestamp,
) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    systemd.store().note_spec(spec_path)?;
    let spec = read_spec(spec_path)?;
    let request = Request {
        purpose: Purpose::Reload,
        unchanged: Unchanged::IsDone,
        asked,
    };
    match hand_over(&systemd, systemd.store(), &spec, request).await {
        Ok(outcome) => {
            anstream::println!("{}", outcome_line(name, &outcome));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            drop_idle_handle(&systemd, name).await?;
            Err(error.into())
        }
    }
}

/// An active handle without a generation would make connections wait for ever. Dropped, it is started again by the next
/// connection.
pub(super) async fn drop_idle_handle(systemd: &Systemd, name: &AppName) -> anyhow::Result<()> {
    if systemd.running().await?.is_empty() {
        systemd.store().clear_current()?;
        systemd
            .manager()
            .stop_without_waiting(&unit_names::handle(name))
            .await?;
    }
    Ok(())
}
