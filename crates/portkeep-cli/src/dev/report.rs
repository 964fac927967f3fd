//! What `portkeep dev` says: one line an event.

use std::cell::Cell;
use std::fmt::Display;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use portkeep_engine::store::HandoverRecord;
use portkeep_engine::{EngineError, Generation, Outcome};
use portkeep_spec::AppName;

use super::browser::Changed;
use super::build::Work;
use super::project::{OWN, url};
use super::session::{Event, Session};
use crate::output::{self, Text};

/// Writes to the terminal. Colours go where a terminal shows them, and nowhere else.
#[derive(Debug)]
pub(crate) struct Report {
    name: AppName,
    /// The newest generation whose handover was shown.
    shown: Cell<Option<Generation>>,
    /// Which of the app's lines are shown.
    level: Cell<Level>,
    /// What the app is waited for, where nothing serves.
    step: Cell<Step>,
}

/// How far the newest version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is built and checked.
    Making,
    /// It cannot be built, or a check failed.
    NotMade,
    /// It is started, or has been.
    Started,
}

impl Step {
    /// Why there is a holding page in place of the app; `reason` is what the handover found.
    fn why_nothing_serves(self, reason: &str) -> Text {
        match self {
            Self::Making => "nothing serves before the first build is done: pages show how far it is, other clients are \
                             answered 503 and told to ask again"
                .into(),
            Self::NotMade => {
                "nothing serves before a build is good: pages show what failed, other clients are answered 503".into()
            }
            Self::Started => bad("nothing can serve yet") + format!(": {reason}"),
        }
    }
}

/// Which of the app's lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    All,
    Warnings,
    Errors,
}

impl Level {
    /// By the word that loggers write; a line without one belongs to the line before it, or to a panic.
    fn shows(self, line: &str) -> bool {
        let says = |words: &[&str]| words.iter().any(|word| line.contains(word));
        let hidden: &[&str] = match self {
            Self::All => &[],
            Self::Warnings => &["TRACE", "DEBUG", "INFO"],
            Self::Errors => &["TRACE", "DEBUG", "INFO", "WARN"],
        };
        !says(hidden)
    }
}

const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

fn good(words: impl Display) -> Text {
    Text::styled(GOOD, words)
}

fn bad(words: impl Display) -> Text {
    Text::styled(BAD, words)
}

impl Report {
    pub(crate) fn new(name: AppName) -> Self {
        Self {
            name,
            shown: Cell::new(None),
            level: Cell::new(Level::All),
            step: Cell::new(Step::Making),
        }
    }

    /// Shows less of what the app writes, and after the least everything again.
    pub(crate) fn next_level(&self) {
        let (next, what) = match self.level.get() {
            Level::All => (Level::Warnings, "warnings and errors"),
            Level::Warnings => (Level::Errors, "errors only"),
            Level::Errors => (Level::All, "everything"),
        };
        self.level.set(next);
        self.line(format!("of the app's log: {what}"));
    }

    pub(crate) fn line(&self, text: impl Into<Text>) {
        let name = Text::styled(DIM, "portkeep") + format!(" {}: ", self.name);
        output::print(name + text);
    }

    pub(crate) fn opened(&self, session: &Session) {
        for notice in session.notices() {
            self.line(notice);
        }
        if let Session::Bare(_) = session {
            return;
        }
        for listen in &session.spec().listen {
            self.line(good(url(listen)) + format!(" is open; {}", session.who_holds()));
        }
    }

    pub(crate) fn building(&self, reason: Option<&str>) {
        self.step.set(Step::Making);
        match reason {
            None => self.line("building"),
            Some(path) => self.line(format!("{path} changed, building")),
        }
    }

    /// What the app depends on is not built yet in the profile that is meant.
    pub(crate) fn begins_with_dev(&self) {
        self.line(format!(
            "the first builds use the profile dev, which is built already; {OWN} is built behind them"
        ));
    }

    /// The profile that is meant could be built behind the others.
    pub(crate) fn built_behind(&self, is_good: bool) {
        if is_good {
            self.line(format!(
                "{OWN} builds from now on, in a directory of its own: no build waits for rust-analyzer or `cargo check`"
            ));
        }
    }

    pub(crate) fn built(&self, took: Duration) {
        self.line(format!("built in {}", seconds(took)));
    }

    pub(crate) fn build_failed(&self, took: Duration, serves: Option<Generation>) {
        self.step.set(Step::NotMade);
        self.failed("the build", took, serves);
    }

    fn failed(&self, what: &str, took: Duration, serves: Option<Generation>) {
        let (took, meanwhile) = (seconds(took), meanwhile(serves));
        self.line(bad(format_args!("{what} failed")) + format!(" after {took}; {meanwhile}"));
    }

    pub(crate) fn checking(&self, check: &str) {
        self.line(format!("checking: {check}"));
    }

    pub(crate) fn check_passed(&self, check: &str, took: Duration) {
        self.line(format!("{check} passed in {}", seconds(took)));
    }

    pub(crate) fn check_failed(&self, check: &str, took: Duration, serves: Option<Generation>) {
        self.step.set(Step::NotMade);
        self.failed(check, took, serves);
    }

    /// Something went wrong that is not the sources' fault.
    pub(crate) fn could_not(&self, error: &anyhow::Error, serves: Option<Generation>) {
        self.step.set(Step::NotMade);
        self.line(bad(format_args!("{error:#}")) + format!("; {}", meanwhile(serves)));
    }

    /// Sources changed before the version that starts was READY.
    pub(crate) fn overtaken(&self, serves: Option<Generation>) {
        self.line(format!(
            "newer sources overtake the version that starts; {}",
            meanwhile(serves)
        ));
    }

    /// What was built and checked is started.
    pub(crate) fn starting(&self) {
        self.step.set(Step::Started);
    }

    /// Files changed that no build is needed for.
    pub(crate) fn files(&self, names: &str, changed: Changed) {
        match changed {
            Changed::Nothing => {}
            Changed::Styles => self.line(format!("{names} changed, pages take the new styles")),
            Changed::Pages => self.line(format!("{names} changed, pages reload")),
        }
    }

    /// Tells how a handover ended. True if the app serves what was built.
    pub(crate) fn handed_over(&self, result: &anyhow::Result<Outcome>, work: Work) -> bool {
        match result {
            Ok(Outcome::HandedOver(record)) => {
                let generation = record.generation.unwrap_or(Generation(0));
                // The history may have been quicker to tell.
                if self.shown.replace(record.generation) == record.generation {
                    return record.reason.is_none();
                }
                match &record.reason {
                    None => {
                        let (ready, all) = (
                            record.steps.start_milliseconds,
                            record.steps.total_milliseconds,
                        );
                        let serves = good(format_args!("generation {generation} serves"));
                        self.line(
                            serves
                                + format!(", READY in {ready:.0} ms, handed over in {all:.0} ms"),
                        );
                        true
                    }
                    Some(reason) => {
                        self.line(bad("the new version did not start") + format!(": {reason}"));
                        self.line(format!(
                            "generation {generation} serves the last good version"
                        ));
                        false
                    }
                }
            }
            Ok(Outcome::Unchanged(generation)) => {
                let found = match work {
                    Work::Nothing => "nothing to build",
                    Work::Something => "the same as before",
                };
                self.line(format!("{found}, generation {generation} serves on"));
                true
            }
            Ok(Outcome::KnownBad(digest)) => {
                let release = bad(format_args!("release {digest} failed before"));
                self.line(release + " and did not change");
                false
            }
            Ok(Outcome::Holding(record)) => {
                if self.shown.replace(record.generation) != record.generation {
                    let reason = record.reason.as_deref().unwrap_or_default();
                    self.line(self.step.get().why_nothing_serves(reason));
                }
                false
            }
            Ok(Outcome::InMaintenance(_)) => {
                self.line("in maintenance, and its page answers (503)");
                false
            }
            Ok(other) => {
                self.line(format!("{other:?}"));
                true
            }
            Err(error) => {
                let failed = error.downcast_ref();
                if let Some(EngineError::StartFailed { generation, .. }) = failed
                    && generation.is_some()
                    && self.shown.replace(*generation) == *generation
                {
                    return false;
                }
                self.line(bad("the new version did not take over") + format!(": {error:#}"));
                false
            }
        }
    }

    pub(crate) fn session_event(&self, event: &Event) {
        match event {
            Event::Line(_, line) if !self.level.get().shows(line) => {}
            Event::Line(generation, line) => {
                let number = Text::styled(DIM, format_args!("{generation:>4} |"));
                output::print(number + " " + Text::in_colour(line));
            }
            Event::Note(text) => self.line(text),
            Event::Gone(generation, why) => {
                let gone = bad(format_args!("generation {generation} is gone"));
                self.line(gone + format!(": {why}"));
            }
            Event::Rested(generation) => self.line(format!(
                "generation {generation} has ended; the next connection starts it again"
            )),
            Event::Recorded(record) if record.generation > self.shown.get() => {
                self.handed_over(&told_by(record), Work::Something);
            }
            // Whoever asked for what was done already has been told so.
            Event::Ended(Ok(Outcome::Unchanged(_))) => {}
            Event::Ended(result) => {
                self.handed_over(result, Work::Something);
            }
            Event::Asked(_) | Event::Output | Event::Recorded(_) => {}
        }
    }
}

/// What a line of the history says of a handover.
pub(crate) fn told_by(record: &HandoverRecord) -> anyhow::Result<Outcome> {
    Ok(Outcome::of(record.clone())?)
}

fn meanwhile(serves: Option<Generation>) -> String {
    match serves {
        Some(generation) => format!("generation {generation} serves on"),
        None => "nothing serves yet".to_owned(),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
