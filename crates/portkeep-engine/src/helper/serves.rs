//! Check at the end of a switch: does the installed release serve? A switch does not reload unchanged units, so that
//! without this check the second of two equal switches would pass after the first failed.

use std::path::Path;

use super::{Helper, HelperError, read_spec};
use crate::backend::{HandleState, HandleUnit};
use crate::execute::doing;
use crate::installed::{Comparison, Mismatch, compare};

impl<M: HandleUnit> Helper<'_, M> {
    /// What serves instead of the installed release; none if that serves, and none before the first start of the app: a
    /// handle that should run and does not is reported by its own unit.
    ///
    /// # Errors
    /// When the manager does not answer, or the history cannot be read.
    pub async fn serves_instead(&self, spec_path: &Path) -> Result<Option<Mismatch>, HelperError> {
        if self.manager.handle().await? != HandleState::Active {
            return Ok(None);
        }
        let store = self.store;
        if self.store.maintenance().is_some() {
            return Ok(Some(Mismatch::Maintenance));
        }
        let last = store.last_handover().map_err(doing("read the history"))?;
        let is_holding_page = store
            .current()
            .is_some_and(|one| store.is_holding_page(one));
        // Not by the files: a rewritten secret is for the next reload.
        let other_spec = store.spec_path().is_some_and(|by| by != spec_path);
        // A spec that was reverted serves again, without a handover.
        let comparison = match read_spec(spec_path) {
            Ok(spec) => compare(self.manager, store, &spec).await,
            Err(_) => Comparison::Unknown,
        };
        let instead = Mismatch::of(last.as_ref(), is_holding_page, other_spec, comparison);
        Ok(instead.filter(|instead| !instead.is_for_later()))
    }
}
