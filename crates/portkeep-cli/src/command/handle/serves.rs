//! What a switch asks at its end: whether what is installed serves. It has not reloaded what did not change, so that the
//! second of two equal switches would pass where the first one failed.

use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use portkeep_engine::{Comparison, Instead, compare};
use portkeep_spec::{AppName, unit_names};

use crate::locate::{own_manager, read_spec, systemd};

pub(super) async fn run(name: &AppName, spec_path: &Path) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    let handle = unit_names::handle(name);
    if !systemd.manager().state(&handle).await?.is_active() {
        // Nobody has asked for it yet; one that should run and does not is told by its own unit.
        return Ok(ExitCode::SUCCESS);
    }
    let store = systemd.store();
    let last = store.last_handover()?;
    let is_holding = store.current().is_some_and(|one| store.is_holding(one));
    // Not by the files: a secret that was written anew is for the next reload.
    let other_spec = store.spec_path().is_some_and(|by| by != spec_path);
    // A spec that was taken back serves again, and no handover has told so.
    let comparison = match read_spec(spec_path) {
        Ok(spec) => compare(&systemd, store, &spec).await,
        Err(_) => Comparison::Unknown,
    };
    match Instead::of(last.as_ref(), is_holding, other_spec, comparison) {
        None => Ok(ExitCode::SUCCESS),
        Some(instead) if instead.is_for_later() => Ok(ExitCode::SUCCESS),
        Some(instead) => Err(anyhow!(
            "{name}: what is installed does not serve: {instead}. `portkeep history {name}` has more; correct it, and \
             switch again, or `systemctl reload {handle}`"
        )),
    }
}
