//! What a page is told. Pure.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use super::failure::Failure;

/// Everything a page has to know.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// Tells one `portkeep dev` from the next, whose generations may have the same numbers.
    session: u128,
    /// The generation that serves.
    generation: Option<u64>,
    /// The oldest generation whose pages are still right, but for their styles.
    page_since: u64,
    /// Grows when styles change.
    styles: u64,
    /// Grows when other files change that pages are made of.
    assets: u64,
    /// The files that changed last, for people.
    files: String,
    phase: Phase,
    /// When the phase began, in milliseconds since 1970: the page counts by the same clock.
    since: u128,
    /// What it is that is done: the changed file, the check.
    what: String,
    /// Why the newest sources do not serve.
    #[serde(skip)]
    newest: Option<(Stage, Failure)>,
    /// Why nothing serves, or what served is not as it was asked for.
    #[serde(skip)]
    serving: Option<Failure>,
    /// Somebody else chose what serves: nobody knows by what it differs from the newest sources.
    #[serde(skip)]
    chosen_by_others: bool,
}

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
    /// They cannot be built, or a check fails: what is started is older.
    Sources,
    /// They did not start. They may another time.
    Start,
}

/// What kind of files changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Changed {
    /// Nothing that a page could show.
    Nothing,
    /// Style sheets only.
    Styles,
    /// Pages have to be loaded again.
    Pages,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            session: now(),
            generation: None,
            page_since: 0,
            styles: 0,
            assets: 0,
            files: String::new(),
            phase: Phase::Idle,
            since: now(),
            what: String::new(),
            newest: None,
            serving: None,
            chosen_by_others: false,
        }
    }

    /// What is built from the first change on is one wait for whoever looks at the page.
    fn enter(&mut self, phase: Phase, what: &str) {
        if self.phase == Phase::Idle {
            self.since = now();
        }
        self.phase = phase;
        what.clone_into(&mut self.what);
    }

    pub(crate) fn building(&mut self, what: &str) {
        self.enter(Phase::Building, what);
    }

    pub(crate) fn checking(&mut self, check: &str) {
        self.enter(Phase::Checking, check);
    }

    pub(crate) fn starting(&mut self) {
        self.enter(Phase::Starting, "");
    }

    /// The newest sources cannot be built, or fail a check. A generation that serves goes on.
    pub(crate) fn failed(&mut self, failure: Failure) {
        self.phase = Phase::Idle;
        self.newest = Some((Stage::Sources, failure));
    }

    /// What was built did not start. A generation that serves goes on.
    pub(crate) fn not_started(&mut self, failure: Failure) {
        self.phase = Phase::Idle;
        self.newest = Some((Stage::Start, failure));
    }

    /// A generation serves. What it was made of differs by `changed` from what served before.
    pub(crate) fn serves(&mut self, generation: u64, changed: Changed) {
        let styles_only = changed == Changed::Styles && !self.chosen_by_others;
        if self.generation.is_some() && styles_only {
            self.styles += 1;
        } else {
            self.page_since = generation;
        }
        self.generation = Some(generation);
        self.done();
    }

    /// The build changed nothing, but files that the app reads itself may have.
    pub(crate) fn unchanged(&mut self, generation: u64, changed: Changed, files: &str) {
        self.is_served_by(generation);
        self.done();
        self.files(changed, files);
    }

    /// What was built last was started once more: that is no news of sources that cannot be built.
    pub(crate) fn restarted(&mut self, generation: u64) {
        self.is_served_by(generation);
        self.chosen_by_others = false;
        if let Some((Stage::Start, _)) = self.newest {
            self.newest = None;
        }
    }

    /// What was built last was to be started once more, and was not. Sources that cannot be built stay what is wrong with
    /// the newest.
    pub(crate) fn not_restarted(&mut self, failure: Failure) {
        match self.newest {
            Some((Stage::Sources, _)) => self.serving = Some(failure),
            _ => self.newest = Some((Stage::Start, failure)),
        }
    }

    /// Somebody else handed over to a generation; what is built now is not affected.
    pub(crate) fn is_served_by(&mut self, generation: u64) {
        if self.generation < Some(generation) {
            self.generation = Some(generation);
            self.page_since = generation;
            self.chosen_by_others = true;
            self.serving = None;
        }
    }

    /// A holding page answers in place of the app.
    pub(crate) fn is_held_by(&mut self, generation: u64) {
        if self.generation < Some(generation) {
            self.generation = None;
        }
    }

    /// A generation is gone. What is built now is not affected.
    pub(crate) fn is_gone(&mut self, generation: u64, failure: Failure) {
        if self.generation <= Some(generation) {
            self.generation = None;
            self.serving = Some(failure);
        }
    }

    /// Files changed that no build is needed for.
    pub(crate) fn files(&mut self, changed: Changed, files: &str) {
        match changed {
            Changed::Nothing => return,
            Changed::Styles => self.styles += 1,
            Changed::Pages => self.assets += 1,
        }
        files.clone_into(&mut self.files);
    }

    fn done(&mut self) {
        self.phase = Phase::Idle;
        self.newest = None;
        self.serving = None;
        self.chosen_by_others = false;
    }

    fn failure(&self) -> Option<&Failure> {
        let newest = self.newest.as_ref().map(|(_, failure)| failure);
        self.serving.as_ref().or(newest)
    }

    /// All of it, for a page that asks through the generation `via`: a page must not act on what it hears of a new
    /// generation from the old one.
    pub(super) fn told(&self, via: u64) -> serde_json::Result<Value> {
        let mut told = serde_json::to_value(self)?;
        told["failure"] = serde_json::to_value(self.failure())?;
        told["via"] = via.into();
        Ok(told)
    }

    /// What changes pages and is no generation, for a page that is about to be made.
    pub(super) fn made_of(&self) -> String {
        format!("{} {} {}", self.session, self.styles, self.assets)
    }

    /// Whether something newer may serve in a moment.
    pub(super) fn is_busy(&self) -> bool {
        self.phase != Phase::Idle
    }

    pub(super) fn generation(&self) -> Option<u64> {
        self.generation
    }
}

fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis()
}

#[cfg(test)]
mod tests;
