//! Spec that the handle's unit names now. A switch may change it while a helper works with the old one, and systemd does
//! not call again for that: it merges a reload into a start, and a switch tool requests no reload during a start.

use std::path::{Path, PathBuf};

use portkeep_spec::Spec;

use super::error::HelperError;
use super::read_spec;
use crate::backend::HandleUnit;
use crate::execute;
use crate::store::Store;

/// The spec that a handover used.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Installed {
    pub(super) path: PathBuf,
    pub(super) spec: Spec,
}

impl Installed {
    pub(super) fn read(path: &Path) -> Result<Self, HelperError> {
        Ok(Self {
            path: path.to_owned(),
            spec: read_spec(path)?,
        })
    }

    /// A newer spec to hand over as well, if there is one. If it cannot be read now, nothing changes.
    pub(super) async fn newer<M: HandleUnit>(&self, manager: &M, store: &Store) -> Option<Self> {
        let named = manager.installed_spec().await.ok()?;
        let path = named.as_ref().unwrap_or(&self.path);
        let now = Self::read(path).ok()?;
        (now != *self || execute::has_changed(store, &now.spec)).then_some(now)
    }
}
