//! Path units for directories of secrets: `NAME-secrets@DIRECTORY.path`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use portkeep_spec::unit_names;

use super::{JobResult, Systemd};
use crate::backend::BackendError;

impl Systemd {
    pub(super) async fn watch_by_units(
        &self,
        directories: &BTreeSet<PathBuf>,
    ) -> Result<(), BackendError> {
        let pattern = unit_names::secrets_pattern(&self.name);
        let listed = self.manager.list(&[&pattern]).await;
        let watching: BTreeSet<_> = listed
            .map_err(|error| BackendError::new(format!("cannot list {pattern}"), error))?
            .into_iter()
            .filter(|(_, state)| state.is_active())
            .map(|(unit, _)| unit)
            .collect();
        let mut wanted = BTreeSet::new();
        for directory in directories {
            match unit_names::secrets_path(&self.name, directory) {
                Some(unit) => drop(wanted.insert(unit)),
                None => tracing::warn!(
                    "secrets in {} are not watched: its path is too long for the name of a unit",
                    directory.display()
                ),
            }
        }
        for unit in wanted.difference(&watching) {
            let failed = |error| BackendError::new(format!("cannot start {unit}"), error);
            // Waits for the job: later changes must be seen.
            let job = self.manager.start(unit).await.map_err(failed)?;
            if job != JobResult::Done {
                let why = format!("its start ended with `{job}`");
                return Err(BackendError::new(format!("cannot start {unit}"), why));
            }
        }
        for unit in watching.difference(&wanted) {
            let stopped = self.manager.stop_without_waiting(unit).await;
            stopped.map_err(|error| BackendError::new(format!("cannot stop {unit}"), error))?;
        }
        Ok(())
    }
}
