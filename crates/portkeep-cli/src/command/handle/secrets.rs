//! What a path unit triggers where something changes in a directory of secrets, and the look behind it that closes the window in
//! which systemd loses events.

use std::path::Path;
use std::process::ExitCode;

use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::handover::Purpose;
use portkeep_engine::{Backend, Moment, secrets};
use portkeep_spec::{AppName, Spec, unit_names};

use super::installed::Installed;
use super::reload::once;
use crate::locate::{own_manager, read_spec, systemd};

pub(super) async fn run(
    name: &AppName,
    spec_path: &Path,
    asked: Moment,
) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    let installed = Installed::read(spec_path)?;
    secrets::calm(&installed.spec).await;
    if !are_new(&systemd, name, &installed.spec).await? {
        // The way to them may be another now.
        let directories = secrets::directories(&installed.spec);
        systemd.watch_secrets(&directories).await?;
        return Ok(ExitCode::SUCCESS);
    }
    once(&systemd, name, &installed, Purpose::Secrets, asked).await
}

pub(super) async fn recheck(name: &AppName, spec_path: &Path) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    let spec = read_spec(spec_path)?;
    if are_new(&systemd, name, &spec).await? {
        let unit = unit_names::secrets(name);
        systemd.manager().start_without_waiting(&unit).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether somebody serves who may have old ones. Whoever is started later gets those that are there then.
async fn are_new(systemd: &Systemd, name: &AppName, spec: &Spec) -> anyhow::Result<bool> {
    let store = systemd.store();
    if store.maintenance().is_some() || !secrets::have_changed(store, spec) {
        return Ok(false);
    }
    let handle = unit_names::handle(name);
    Ok(systemd.manager().state_as_unit(&handle).await?.is_active())
}
