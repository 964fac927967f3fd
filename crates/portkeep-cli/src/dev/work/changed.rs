//! What comes of changed files, while a round is under way and between two of them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Then, Why, Work};
use crate::dev::relevance;
use crate::dev::restless::MOST;

/// What was written at the end of a round may be heard of so much later.
const LATE: Duration = Duration::from_millis(50);

impl Work<'_> {
    /// A round begins, which sees all changes until now. Answers whether something is to be learned if its build finds
    /// nothing to do: not of sources that a build may have compiled before it was cancelled or failed, and not while a
    /// failure is shown.
    pub(super) fn begin_round(&mut self) -> bool {
        self.restless.begin();
        self.late.clear();
        self.round_ended = None;
        !self.failing && std::mem::take(&mut self.is_built)
    }

    /// A round is over. Answers what is to be built again: what changed in the middle of it, and turned out to matter.
    pub(super) fn end_round(&mut self) -> Option<Why> {
        self.round_ended = Some(Instant::now());
        let mut late = std::mem::take(&mut self.late);
        late.retain(|path| {
            let may_mend = self.failing && !self.restless.is(path);
            may_mend || self.relevance.is_input(path)
        });
        if late.is_empty() {
            return None;
        }
        self.changed.extend(late.iter().cloned());
        Some(Why::Changed(late))
    }

    pub(super) fn on_changed(&mut self, paths: Vec<PathBuf>) -> Then {
        if self.round_ended.is_none_or(|at| at.elapsed() < LATE) {
            for path in self.restless.changed(&paths) {
                self.tell_restless(&path);
            }
        }
        let (put_off, now): (Vec<_>, Vec<_>) = paths
            .iter()
            .cloned()
            .partition(|path| self.is_put_off(path));
        if !now.is_empty() && self.needs_build(&now) {
            self.changed.extend(paths.iter().cloned());
            return Then::Build(Why::Changed(paths));
        }
        let changed = relevance::of_files(&paths);
        let names = self.sources.name(&paths);
        self.report.files(&names, changed);
        self.browser.tell(|state| state.files(changed, &names));
        if self.round_ended.is_none() {
            // The build that is under way may be the first to look at them.
            for path in put_off.into_iter().chain(now) {
                if !self.late.contains(&path) {
                    self.late.push(path);
                }
            }
        }
        Then::GoOn
    }

    /// A file that changes in every round does not end one, or none would come to its end. A source is built again
    /// afterwards, since it may be a person who writes it; of another file nothing more is expected.
    fn is_put_off(&self, path: &Path) -> bool {
        let soon = |at: Instant| at.elapsed() < LATE && !self.relevance.is_input(path);
        self.restless.is(path) && self.round_ended.is_none_or(soon)
    }

    /// Checks and starts look at files that no build looks at: while one of them fails, any file may be what mends it.
    fn needs_build(&self, paths: &[PathBuf]) -> bool {
        self.failing || !self.project.spec.checks.is_empty() || self.relevance.needs_build(paths)
    }

    fn tell_restless(&self, path: &Path) {
        let name = self.sources.name(std::slice::from_ref(&path.to_owned()));
        let what = if self.relevance.is_input(path) {
            "it is built to its end from now on, and then again"
        } else {
            "from now on that does not count while it is built"
        };
        // A pattern is of the project, wherever we were called; of what is elsewhere it knows the name.
        let pattern = match path.strip_prefix(&self.project.directory) {
            Ok(inside) => format!("/{}", inside.display()),
            Err(_) => path.file_name().unwrap_or_default().display().to_string(),
        };
        self.report.line(format!(
            "{name} changed during {MOST} builds in a row: {what}. If nobody edits it, the build, a check or the app writes \
             it: `--ignore '{pattern}'` leaves it out"
        ));
    }
}
