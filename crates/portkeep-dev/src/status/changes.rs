//! Decides what follows a changed file, during a round and between rounds.

use std::path::Path;
use std::time::Duration;

use super::rewritten_files::MOST;
use super::{Activity, Status, Trigger, relevance};
use crate::change::{Change, names};
use crate::effect::{Effect, Notice, RewrittenFile};
use crate::event::Now;

/// How late a write at the end of a round may be reported.
const LATE: Duration = Duration::from_millis(50);

impl Status {
    pub(super) fn on_changed(
        &mut self,
        mut changes: Vec<Change>,
        now: &Now,
        effects: &mut Vec<Effect>,
    ) {
        changes.retain(|change| !self.is_cargos_own(&change.path));
        if changes.is_empty() {
            return;
        }
        self.heard = Some(now.at);
        if self.is_near_a_round(now) {
            let paths = changes.iter().map(|change| change.path.as_path());
            for path in self.rewritten_files.changed(paths) {
                effects.push(Effect::Tell(self.rewritten_file(&path)));
            }
        }
        let (put_off, at_once): (Vec<_>, Vec<_>) = changes
            .iter()
            .cloned()
            .partition(|change| self.is_put_off(&change.path, now));
        if !at_once.is_empty() && self.needs_build(&at_once) {
            self.changed.add(changes.iter().cloned());
            if self.settings.builds_on_key {
                return self.put_aside(changes, effects);
            }
            return self.interrupt(Trigger::Changed(changes), now, effects);
        }
        let what = relevance::of_files(&changes);
        let names = names(&changes, &self.settings.here);
        self.page.files(what, &names, self.heard);
        effects.push(Effect::Tell(Notice::Files(names, what)));
        if self.round_ended.is_none() {
            // The running build may be the first to read them.
            self.late.add(put_off.into_iter().chain(at_once));
        }
    }

    /// Ends a round. Returns the changes during it that turned out to matter.
    pub(super) fn note_late(&mut self, now: &Now) -> Vec<Change> {
        self.round_ended = Some(now.at);
        let mut late = self.late.take();
        late.retain(|Change { path, .. }| {
            let may_mend = self.is_failing && !self.rewritten_files.is(path);
            may_mend || self.relevance.is_input(path)
        });
        self.changed.add(late.iter().cloned());
        late
    }

    /// Keeps changes until the user presses the key.
    pub(super) fn put_aside(&mut self, changes: Vec<Change>, effects: &mut Vec<Effect>) {
        let names = names(&changes, &self.settings.here);
        self.unbuilt.add(changes);
        effects.push(Effect::Tell(Notice::WaitsForKey(names)));
    }

    /// Builds what waits for the key, or everything.
    pub(super) fn build_now(&mut self, now: &Now, effects: &mut Vec<Effect>) {
        let trigger = match self.unbuilt.take() {
            unbuilt if unbuilt.is_empty() => Trigger::Asked,
            unbuilt => Trigger::Changed(unbuilt),
        };
        self.interrupt(trigger, now, effects);
    }

    /// Whether a round is in progress, or has just ended.
    fn is_near_a_round(&self, now: &Now) -> bool {
        self.round_ended
            .is_none_or(|at| now.at.saturating_duration_since(at) < LATE)
    }

    /// Whether a change is put off. A file that changes in every round must not end one, or no round would end. If it is a
    /// source, it is built again afterwards, because a person may have written it.
    fn is_put_off(&self, path: &Path, now: &Now) -> bool {
        let is_under_way = self.round_ended.is_none();
        self.rewritten_files.is(path)
            && (is_under_way || self.is_near_a_round(now) && !self.relevance.is_input(path))
    }

    /// cargo writes Cargo.lock at the beginning of a build if a manifest requires it: that is no change of the project.
    fn is_cargos_own(&self, path: &Path) -> bool {
        let is_run = matches!(
            self.activity,
            Activity::Building { .. } | Activity::Checking { .. }
        );
        is_run && self.settings.lock_file.as_deref() == Some(path)
    }

    /// Checks and starts read files that no build reads: while one of them fails, any file may mend it.
    fn needs_build(&self, changes: &[Change]) -> bool {
        self.is_failing || !self.settings.checks.is_empty() || self.relevance.needs_build(changes)
    }

    fn rewritten_file(&self, path: &Path) -> Notice {
        // The pattern is relative to the project; a file elsewhere is matched by its name.
        let pattern = match path.strip_prefix(&self.settings.directory) {
            Ok(inside) => format!("/{}", inside.display()),
            Err(_) => path.file_name().unwrap_or_default().display().to_string(),
        };
        let name = path.strip_prefix(&self.settings.here).unwrap_or(path);
        Notice::RewrittenFile(RewrittenFile {
            name: name.display().to_string(),
            rounds: MOST,
            is_input: self.relevance.is_input(path),
            pattern,
        })
    }

    /// Starts the serving version again; a round in progress starts one anyhow.
    pub(super) fn start_again(&mut self, effects: &mut Vec<Effect>) {
        if matches!(self.activity, Activity::Idle) {
            self.activity = Activity::Starting {
                start: super::Start::Again,
                id: None,
                builds_next: false,
            };
            effects.push(Effect::StartAgain);
        }
    }
}
