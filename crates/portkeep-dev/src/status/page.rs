//! State of the project that pages show.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::change::Changed;
use crate::failure::Failure;

/// Everything that a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Tells one `portkeep dev` from the next, whose generations may have the same numbers.
    pub(crate) session: u128,
    /// The generation that serves.
    pub(crate) generation: Option<u64>,
    /// The oldest generation whose pages are still valid, except for styles.
    pub(crate) page_since: u64,
    /// Increases when styles change.
    pub(crate) styles: u64,
    /// Increases when other files change that pages are made from.
    pub(crate) assets: u64,
    /// The files that changed last, for people.
    pub(crate) files: String,
    /// When that was reported, however long it took to find out that no build reads them.
    pub(crate) files_changed: Option<Instant>,
    pub(crate) phase: Phase,
    /// When the phase began, in milliseconds since 1970: pages use the same clock.
    pub(crate) since: u128,
    /// Object of the phase: the changed file, the check.
    pub(crate) what: String,
    /// Why the newest sources do not serve.
    newest: Option<(Stage, Arc<Failure>)>,
    /// Why nothing serves, or why something else serves than was requested.
    serving: Option<Arc<Failure>>,
    /// Another command chose what serves: its difference to the newest sources is unknown.
    chosen_by_others: bool,
}

/// What is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    Idle,
    Building,
    Checking,
    Starting,
}

/// How far the newest sources came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The build or a check failed: a running generation is older.
    Sources,
    /// They did not start. They may another time.
    Start,
}

impl Page {
    /// `session` identifies this `portkeep dev`: the time of its beginning.
    pub(crate) fn new(session: u128) -> Self {
        Self {
            session,
            generation: None,
            page_since: 0,
            styles: 0,
            assets: 0,
            files: String::new(),
            files_changed: None,
            phase: Phase::Idle,
            since: session,
            what: String::new(),
            newest: None,
            serving: None,
            chosen_by_others: false,
        }
    }

    /// From the first change on, a build is one wait for the person at the page.
    fn enter(&mut self, phase: Phase, what: &str, now: u128) {
        if self.phase == Phase::Idle {
            self.since = now;
        }
        self.phase = phase;
        what.clone_into(&mut self.what);
    }

    pub(crate) fn building(&mut self, what: &str, now: u128) {
        self.enter(Phase::Building, what, now);
    }

    pub(crate) fn checking(&mut self, check: &str, now: u128) {
        self.enter(Phase::Checking, check, now);
    }

    pub(crate) fn starting(&mut self, now: u128) {
        self.enter(Phase::Starting, "", now);
    }

    /// The build or a check failed. A serving generation goes on.
    pub(crate) fn failed(&mut self, failure: Failure) {
        self.phase = Phase::Idle;
        self.newest = Some((Stage::Sources, failure.into()));
    }

    /// The built version did not start. A serving generation goes on.
    pub(crate) fn not_started(&mut self, failure: Failure) {
        self.phase = Phase::Idle;
        self.newest = Some((Stage::Start, failure.into()));
    }

    /// A generation serves. `changed` is its difference to the one before.
    pub(crate) fn serves(&mut self, generation: u64, changed: Changed) {
        if self.generation > Some(generation) {
            // Somebody has handed over since.
            self.done();
            self.chosen_by_others = true;
            return;
        }
        let styles_only = changed == Changed::Styles && !self.chosen_by_others;
        if self.generation.is_some() && styles_only {
            self.styles += 1;
        } else {
            self.page_since = generation;
        }
        self.generation = Some(generation);
        self.done();
    }

    /// The build changed nothing, but files that the app reads itself may have changed.
    pub(crate) fn unchanged(
        &mut self,
        generation: u64,
        changed: Changed,
        files: &str,
        heard: Option<Instant>,
    ) {
        self.is_served_by(generation);
        self.done();
        self.files(changed, files, heard);
    }

    /// The last built version was started again: that says nothing new about sources that cannot be built.
    pub(crate) fn restarted(&mut self, generation: u64) {
        self.is_served_by(generation);
        self.chosen_by_others = false;
        if let Some((Stage::Start, _)) = self.newest {
            self.newest = None;
        }
    }

    /// The last built version could not be started again. If the newest sources cannot be built, that remains their
    /// failure.
    pub(crate) fn not_restarted(&mut self, failure: Failure) {
        match self.newest {
            Some((Stage::Sources, _)) => self.serving = Some(failure.into()),
            _ => self.newest = Some((Stage::Start, failure.into())),
        }
    }

    /// Another command handed over; a build in progress is not affected.
    pub(crate) fn is_served_by(&mut self, generation: u64) {
        if self.generation < Some(generation) {
            self.generation = Some(generation);
            self.page_since = generation;
            self.chosen_by_others = true;
            self.serving = None;
        }
    }

    /// A holding page answers instead of the app.
    pub(crate) fn is_held_by(&mut self, generation: u64) {
        if self.generation < Some(generation) {
            self.generation = None;
        }
    }

    /// A generation is gone. A build in progress is not affected.
    pub(crate) fn is_gone(&mut self, generation: u64, failure: Failure) {
        if self.generation <= Some(generation) {
            self.generation = None;
            self.serving = Some(failure.into());
        }
    }

    /// Files changed that need no build. They were reported at `heard`.
    pub(crate) fn files(&mut self, changed: Changed, files: &str, heard: Option<Instant>) {
        match changed {
            Changed::Nothing => return,
            Changed::Styles => self.styles += 1,
            Changed::Pages => self.assets += 1,
        }
        files.clone_into(&mut self.files);
        self.files_changed = heard;
    }

    fn done(&mut self) {
        self.phase = Phase::Idle;
        self.newest = None;
        self.serving = None;
        self.chosen_by_others = false;
    }

    /// The failure to show, if any.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        let newest = self.newest.as_ref().map(|(_, failure)| failure);
        self.serving.as_ref().or(newest).map(Arc::as_ref)
    }

    /// Whether a newer version may serve soon.
    pub(crate) fn is_busy(&self) -> bool {
        self.phase != Phase::Idle
    }
}

#[cfg(test)]
mod tests;
