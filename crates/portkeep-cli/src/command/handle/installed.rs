//! The spec that the handle's unit names now. A switch may have changed it while we were at work with the one before, and
//! systemd does not call again for that: it merges a reload into a start, and a switch tool asks for none where one is under
//! way.

use std::path::{Path, PathBuf};

use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::drive;
use portkeep_spec::{AppName, Spec, unit_names};

use crate::locate::read_spec;

/// What a handover went by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Installed {
    pub(super) path: PathBuf,
    pub(super) spec: Spec,
}

impl Installed {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            spec: read_spec(path)?,
        })
    }

    /// What is to be handed over as well, because it came meanwhile. What cannot be asked or read now changes nothing.
    pub(super) async fn newer(&self, systemd: &Systemd, name: &AppName) -> Option<Self> {
        let handle = unit_names::handle(name);
        let state = systemd.manager().state(&handle).await.ok()?;
        let path = state.spec().unwrap_or(&self.path);
        let now = Self::read(path).ok()?;
        (now != *self || drive::has_changed(systemd.store(), &now.spec)).then_some(now)
    }
}
