//! What a page is told. Pure.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// More than this is not read, and would make pages slow.
const LONGEST_TEXT: usize = 100_000;
const MOST_PARTS: usize = 100;

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
    phase: Phase,
    /// When the phase began, in milliseconds since 1970: the page counts by the same clock.
    since: u128,
    /// What it is that is done: the changed file, the check.
    what: String,
    failure: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    Idle,
    Building,
    Checking,
    Starting,
}

/// Why the newest sources do not serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) title: String,
    pub(crate) parts: Vec<Part>,
}

/// One diagnostic, or the output of a program; with the escapes that colour a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    pub(crate) level: Level,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Error,
    Warning,
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

impl Failure {
    pub(crate) fn new(title: impl Into<String>, mut parts: Vec<Part>) -> Self {
        // Errors first, each kind in its order.
        parts.sort_by_key(|part| part.level);
        parts.truncate(MOST_PARTS);
        for part in &mut parts {
            shorten(&mut part.text);
        }
        Self {
            title: title.into(),
            parts,
        }
    }

    /// With the output of a program.
    pub(crate) fn of_output(title: impl Into<String>, output: impl Into<String>) -> Self {
        let (level, text) = (Level::Error, output.into());
        Self::new(title, vec![Part { level, text }])
    }
}

/// Keeps the end, where programs say what went wrong.
fn shorten(text: &mut String) {
    if text.len() > LONGEST_TEXT {
        let mut from = text.len() - LONGEST_TEXT;
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text.replace_range(..from, "…\n");
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            session: now(),
            generation: None,
            page_since: 0,
            styles: 0,
            assets: 0,
            phase: Phase::Idle,
            since: now(),
            what: String::new(),
            failure: None,
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

    /// The newest sources do not serve. A generation that serves goes on.
    pub(crate) fn failed(&mut self, failure: Failure) {
        self.phase = Phase::Idle;
        self.failure = Some(failure);
    }

    /// A generation serves. What it was made of differs by `changed` from what served before.
    pub(crate) fn serves(&mut self, generation: u64, changed: Changed) {
        if self.generation.is_none() || changed != Changed::Styles {
            self.page_since = generation;
        } else {
            self.styles += 1;
        }
        self.generation = Some(generation);
        self.done();
    }

    /// The build changed nothing, but files that the app reads itself may have.
    pub(crate) fn unchanged(&mut self, generation: u64, changed: Changed) {
        self.is_served_by(generation);
        self.done();
        self.files(changed);
    }

    /// Somebody else handed over to a generation; what is built now is not affected.
    pub(crate) fn is_served_by(&mut self, generation: u64) {
        if self.generation < Some(generation) {
            self.generation = Some(generation);
            self.page_since = generation;
        }
    }

    /// Files changed that no build is needed for.
    pub(crate) fn files(&mut self, changed: Changed) {
        match changed {
            Changed::Nothing => {}
            Changed::Styles => self.styles += 1,
            Changed::Pages => self.assets += 1,
        }
    }

    fn done(&mut self) {
        self.phase = Phase::Idle;
        self.failure = None;
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
mod tests {
    use super::*;

    #[test]
    fn pages_reload_for_a_new_generation_but_not_for_styles() {
        let mut state = State::new();
        state.serves(1, Changed::Pages);
        assert_eq!((state.page_since, state.styles), (1, 0));
        state.serves(2, Changed::Styles);
        assert_eq!((state.page_since, state.styles), (1, 1));
        state.serves(3, Changed::Pages);
        assert_eq!((state.page_since, state.styles), (3, 1));
        // Somebody asked for a new start: nothing changed, but the process did.
        state.serves(4, Changed::Nothing);
        assert_eq!(state.page_since, 4);
    }

    #[test]
    fn the_first_generation_replaces_the_holding_page_whatever_changed() {
        let mut state = State::new();
        state.serves(2, Changed::Styles);
        assert_eq!((state.page_since, state.styles), (2, 0));
    }

    #[test]
    fn a_failure_stays_until_something_good_comes() {
        let mut state = State::new();
        state.building("src/main.rs");
        state.failed(Failure::of_output("the build failed", "x"));
        state.building("src/main.rs");
        assert!(state.failure.is_some() && state.is_busy());
        state.unchanged(1, Changed::Nothing);
        assert!(state.failure.is_none() && !state.is_busy());
        assert_eq!((state.styles, state.assets), (0, 0));
    }

    #[test]
    fn errors_come_before_warnings() {
        let part = |level, text: &str| Part {
            level,
            text: text.to_owned(),
        };
        let failure = Failure::new(
            "x",
            vec![
                part(Level::Warning, "w"),
                part(Level::Error, "a"),
                part(Level::Error, "b"),
            ],
        );
        let texts: Vec<_> = failure.parts.iter().map(|part| &*part.text).collect();
        assert_eq!(texts, ["a", "b", "w"]);
    }

    #[test]
    fn what_is_very_long_loses_its_beginning() {
        let mut text = "ä".repeat(LONGEST_TEXT);
        shorten(&mut text);
        assert!(text.len() <= LONGEST_TEXT + 4 && text.starts_with('…'));
    }
}
