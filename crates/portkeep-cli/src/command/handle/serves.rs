//! What a switch asks at its end: whether what is installed serves. It has not reloaded what did not change, so that the
//! second of two equal switches would pass where the first one failed.

use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use portkeep_engine::Instead;
use portkeep_spec::{AppName, unit_names};

use crate::locate::{own_manager, systemd};

pub(super) async fn run(name: &AppName, spec_path: &Path) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    let handle = unit_names::handle(name);
    if !systemd.manager().state(&handle).await?.is_active() {
        // Nobody has asked for it yet; one that should run and does not is told by its own unit.
        return Ok(ExitCode::SUCCESS);
    }
    let store = systemd.store();
    let history = store.history()?;
    let is_holding = store.current().is_some_and(|one| store.is_holding(one));
    // Not by the files: a secret that was written anew is for the next reload.
    let other_spec = store.spec_path().is_some_and(|by| by != spec_path);
    let instead = match store.maintenance() {
        Some(_) => Some(Instead::Maintenance),
        None => Instead::of(history.last(), is_holding, other_spec),
    };
    match instead {
        None => Ok(ExitCode::SUCCESS),
        Some(instead) => Err(anyhow!(
            "{name}: what is installed does not serve: {instead}. `portkeep history {name}` has more; correct it, and \
             switch again, or `systemctl reload {handle}`"
        )),
    }
}
