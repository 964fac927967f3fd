//! Removes units and helpers that an install has replaced, and leftovers of a killed install.

use std::collections::BTreeSet;

use portkeep_spec::AppName;

use super::error::with_causes;
use super::{Done, Install};
use crate::store::sweep_of;
use crate::units::helper;
use crate::units::inventory::Inventory;
use crate::units::manager::UnitManager;
use crate::units::stop::stop;

impl<M: UnitManager> Install<'_, M> {
    /// Leftovers of a killed install: second names of replaced files.
    pub(super) fn sweep_files(&self) {
        for app in &self.plan.apps {
            let paths = app.changes.iter().map(|change| change.path.parent());
            let spec = self.directory.spec_path(&app.name);
            let always = [Some(self.directory.path()), spec.parent()];
            let directories: BTreeSet<_> = paths.chain(always).flatten().collect();
            for directory in directories {
                sweep_of(directory, app.name.as_str());
            }
        }
    }

    /// The new version serves: removes parts that only the old one needed. A failure here undoes nothing.
    pub(super) async fn tidy(&self, done: &mut Done) -> Vec<String> {
        let mut left = Vec::new();
        let replaced: Vec<AppName> = self
            .plan
            .apps
            .iter()
            .filter_map(|app| app.replaces.clone())
            .collect();
        if !replaced.is_empty()
            && let Err(error) = stop(self.manager, &replaced).await
        {
            left.push(with_causes(&error));
        }
        let last: Vec<_> = self.plan.apps.iter().flat_map(|app| &app.last).collect();
        for change in &last {
            if let Err(error) = done.files.apply(change) {
                left.push(format!("{}: {error}", change.path.display()));
            }
        }
        std::mem::take(&mut done.files).keep();
        if !last.is_empty() {
            let ended = async {
                self.manager.read_files().await?;
                // Not before its file is gone: until then it refuses.
                self.manager.stop_all(&self.closes(|_, _| true)).await
            };
            left.extend(ended.await.err().map(|error| with_causes(&error)));
        }
        for name in &replaced {
            let _ = std::fs::remove_dir_all(self.all.of_app(name).run);
        }
        self.sweep_helpers();
        left
    }

    /// Removes unused helpers, and the copies that the last version made.
    fn sweep_helpers(&self) {
        for app in &self.plan.apps {
            helper::remove_own_copy(&self.all.of_app(&app.name).state);
        }
        if let Ok(inventory) = Inventory::of(self.directory.path()) {
            helper::sweep(&self.all.state, &[&inventory]);
        }
    }
}
