//! Decides what follows a changed file, in a round and between two rounds.

use std::path::Path;
use std::time::Duration;

use super::restless::MOST;
use super::{Activity, Status, Trigger, relevance};
use crate::change::{Change, names};
use crate::effect::{Effect, Notice, Restless};
use crate::event::Now;

/// What was written at the end of a round may be heard of so much later.
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
            for path in self.restless.changed(paths) {
                effects.push(Effect::Tell(self.restless_file(&path)));
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
            // The build that is under way may be the first to look at them.
            self.late.add(put_off.into_iter().chain(at_once));
        }
    }

    /// A round is over. Answers what changed in the middle of it, and turned out to matter.
    pub(super) fn note_late(&mut self, now: &Now) -> Vec<Change> {
        self.round_ended = Some(now.at);
        let mut late = self.late.take();
        late.retain(|Change { path, .. }| {
            let may_mend = self.is_failing && !self.restless.is(path);
            may_mend || self.relevance.is_input(path)
        });
        self.changed.add(late.iter().cloned());
        late
    }

    /// What changed waits for a key.
    pub(super) fn put_aside(&mut self, changes: Vec<Change>, effects: &mut Vec<Effect>) {
        let names = names(&changes, &self.settings.here);
        self.unbuilt.add(changes);
        effects.push(Effect::Tell(Notice::WaitsForKey(names)));
    }

    /// Somebody wants a build: of what waits for that, or of everything.
    pub(super) fn build_now(&mut self, now: &Now, effects: &mut Vec<Effect>) {
        let trigger = match self.unbuilt.take() {
            unbuilt if unbuilt.is_empty() => Trigger::Asked,
            unbuilt => Trigger::Changed(unbuilt),
        };
        self.interrupt(trigger, now, effects);
    }

    /// Whether a round is under way, or has just ended.
    fn is_near_a_round(&self, now: &Now) -> bool {
        self.round_ended
            .is_none_or(|at| now.at.saturating_duration_since(at) < LATE)
    }

    /// A file that changes in every round does not end one, or none would come to its end. A source is built again
    /// afterwards, since it may be a person who writes it; of another file nothing more is expected.
    fn is_put_off(&self, path: &Path, now: &Now) -> bool {
        let is_under_way = self.round_ended.is_none();
        self.restless.is(path)
            && (is_under_way || self.is_near_a_round(now) && !self.relevance.is_input(path))
    }

    /// cargo writes Cargo.lock at the beginning of a build, where a manifest asks for it: that is no change of the project's.
    fn is_cargos_own(&self, path: &Path) -> bool {
        let is_run = matches!(
            self.activity,
            Activity::Building { .. } | Activity::Checking { .. }
        );
        is_run && self.settings.lock_file.as_deref() == Some(path)
    }

    /// Checks and starts look at files that no build looks at: while one of them fails, any file may be what mends it.
    fn needs_build(&self, changes: &[Change]) -> bool {
        self.is_failing || !self.settings.checks.is_empty() || self.relevance.needs_build(changes)
    }

    fn restless_file(&self, path: &Path) -> Notice {
        // A pattern is of the project, wherever we were called; of what is elsewhere it knows the name.
        let pattern = match path.strip_prefix(&self.settings.directory) {
            Ok(inside) => format!("/{}", inside.display()),
            Err(_) => path.file_name().unwrap_or_default().display().to_string(),
        };
        let name = path.strip_prefix(&self.settings.here).unwrap_or(path);
        Notice::Restless(Restless {
            name: name.display().to_string(),
            rounds: MOST,
            is_input: self.relevance.is_input(path),
            pattern,
        })
    }

    /// Starts what serves once more; while a round is under way, that starts something anyhow.
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
