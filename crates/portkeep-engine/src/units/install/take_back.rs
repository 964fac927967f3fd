//! Takes a failed install back.

use portkeep_spec::unit_names;

use super::error::with_causes;
use super::{Done, Install};
use crate::backend::BackendError;
use crate::units::files::{Change, Entry, Journal};
use crate::units::manager::UnitManager;
use crate::units::plan::AppPlan;
use crate::units::stop::{end, stop};

impl<M: UnitManager> Install<'_, M> {
    /// Restores everything. Returns what failed.
    pub(super) async fn take_back(&self, mut done: Done) -> Vec<String> {
        let mut left = Vec::new();
        let mut note = |what: Result<(), BackendError>| {
            left.extend(what.err().map(|error| with_causes(&error)));
        };
        // A new app has no earlier state: it ends while its units are known. One with another app's socket keeps that open.
        let (renewed, new): (Vec<_>, Vec<_>) = self
            .plan
            .apps
            .iter()
            .filter(|app| app.is_new && done.read)
            .partition(|app| app.replaces.is_some());
        let names = |apps: Vec<&AppPlan>| {
            apps.into_iter()
                .map(|app| app.name.clone())
                .collect::<Vec<_>>()
        };
        let (renewed, new) = (names(renewed), names(new));
        if !new.is_empty() {
            note(stop(self.manager, &new).await);
        }
        if !renewed.is_empty() {
            note(end(self.manager, &renewed).await);
        }
        let mut unwritten: Vec<_> = done
            .files
            .take_back()
            .iter()
            .map(ToString::to_string)
            .collect();
        if done.placed_helper {
            self.helper.remove();
        }
        if done.read {
            unwritten.extend(self.rename_back().await);
            note(self.manager.read_files().await);
            note(self.runtime_back(&done).await);
        }
        for base in &done.bases {
            // Files that somebody else has put there meanwhile stay.
            let _ = std::fs::remove_dir(base);
        }
        left.extend(unwritten);
        left
    }

    /// Renamed open sockets get their old names again: for a moment, the new one is a link to the old.
    async fn rename_back(&self) -> Option<String> {
        let renamed: Vec<_> = self.plan.apps.iter().flat_map(|app| &app.renamed).collect();
        if renamed.is_empty() {
            return None;
        }
        let mut links = Journal::default();
        for (old, new) in renamed {
            let change = Change {
                path: self.directory.path().join(new),
                before: None,
                after: Some(Entry::Link(old.into())),
            };
            if let Err(error) = links.apply(&change) {
                return Some(format!("{new} could not be renamed back to {old}: {error}"));
            }
        }
        let read = self.manager.read_files().await;
        links.take_back();
        read.err().map(|error| with_causes(&error))
    }

    /// Apps that ran before run again, with their earlier files.
    async fn runtime_back(&self, done: &Done) -> Result<(), BackendError> {
        self.manager.start_all(&done.closed).await?;
        // Units that are gone again, whoever has started them: nothing prevents stopping them.
        let is_renamed = |unit: &String| {
            let mut renamed = self.plan.apps.iter().flat_map(|app| &app.renamed);
            renamed.any(|(_, new)| new == unit)
        };
        let gone = self.plan.apps.iter().flat_map(|app| {
            let target = unit_names::target(&app.name);
            unit_names::sockets(&app.spec).into_iter().chain([target])
        });
        let gone = gone.filter(|unit| !self.survey.was_there(unit) && !is_renamed(unit));
        self.manager.stop_all(&gone.collect::<Vec<_>>()).await?;
        let targets = self.plan.apps.iter().filter(|app| {
            let mut opens = app.opens.iter();
            !app.is_new
                && opens.any(|unit| done.opened.contains(unit))
                && !self.survey.was_open(&app.name)
        });
        let targets: Vec<_> = targets.map(|app| unit_names::target(&app.name)).collect();
        self.manager.stop_all(&targets).await?;
        for (name, before) in &done.handed_over {
            let now = self.manager.serving(name);
            if let (Some(spec), Some(before)) = (self.survey.spec(name), before)
                && now.as_ref() != Some(before)
            {
                self.manager.hand_back(spec, before.clone()).await?;
            }
        }
        Ok(())
    }
}
