//! Status of a project under development, and the effects of each event on it.
//!
//! Nothing here reads a file, asks a clock or prints: the loop feeds events and carries out the effects. The terminal and
//! the pages show the status and decide nothing.

mod changes;
mod handovers;
mod last_lines;
mod page;
mod refused;
mod relevance;
mod rewritten_files;
mod rounds;
#[cfg(test)]
mod tests;
mod verdicts;
mod waiting;

use std::path::PathBuf;
use std::time::Instant;

use portkeep_engine::Generation;
use portkeep_engine::handover::HandoverId;
use portkeep_spec::Address;

use self::last_lines::LastLinesOfNewest;
pub(crate) use self::page::{Page, Phase};
use self::refused::Refused;
use self::relevance::Relevance;
use self::rewritten_files::RewrittenFiles;
use self::waiting::Waiting;
use super::change::{Change, Changes};
use super::effect::{Effect, Ending, Level, Notice, Step};
use super::event::{Event, Key, Now, Opened, SessionEvent, Work};
use super::failure::Failure;

/// Settings that stay the same while a project is developed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// The checks between a build and the swap, as people write them.
    pub(crate) checks: Vec<String>,
    /// Whether the app is left running as soon as it serves.
    pub(crate) detaches: bool,
    /// Whether the browser is opened when the app serves for the first time.
    pub(crate) opens: bool,
    /// Whether requests should wait for builds.
    pub(crate) requests_wait: bool,
    /// Whether changes are built only when the user presses the key.
    pub(crate) builds_on_key: bool,
    /// The lock file, which cargo writes while it builds or checks.
    pub(crate) lock_file: Option<PathBuf>,
    /// The project's directory.
    pub(crate) directory: PathBuf,
    /// There is no build: the project's own executable runs.
    pub(crate) builds_nothing: bool,
    /// Files of a release, and the executable if it is in the project.
    pub(crate) parts: Vec<PathBuf>,
    /// Base of relative paths in messages.
    pub(crate) here: PathBuf,
}

/// What is known, and what is in progress.
#[derive(Debug)]
pub(crate) struct Status {
    settings: Settings,
    page: Page,
    activity: Activity,
    /// How far the newest version has come.
    step: Step,
    relevance: Relevance,
    rewritten_files: RewrittenFiles,
    /// Whether a failure is shown.
    is_failing: bool,
    /// Whether the last build was good: the next one is only due to later changes.
    is_built: bool,
    /// None during a round.
    round_ended: Option<Instant>,
    /// When the last change was reported.
    heard: Option<Instant>,
    /// Changes in a round that did not end it.
    late: Changes,
    /// Changes that wait for the key.
    unbuilt: Changes,
    /// Changes since the last version that serves.
    changed: Changes,
    /// What the newest generation wrote.
    last_lines: LastLinesOfNewest,
    /// The newest generation whose handover was told.
    told: Option<Generation>,
    /// Which lines of the app are shown.
    level: Level,
    /// The browser has still to be opened.
    opens: bool,
    /// Requests should wait for builds; it is unknown whether they do.
    requests_wait: bool,
    /// Reported addresses that the app opened itself.
    opened: Vec<Address>,
    /// A compressed page was reported.
    told_of_compression: bool,
    /// A library of another version was reported.
    told_of_version: bool,
    refused: Refused,
    waiting: Waiting,
    /// Nothing more follows.
    is_stopped: bool,
    /// The generation that another command chose, which may not be from the newest sources.
    chosen_by_others: Option<Generation>,
}

/// What is in progress.
#[derive(Debug)]
enum Activity {
    Idle,
    Building {
        trigger: Trigger,
        /// Whether a build that finds nothing to do teaches something about the changed files.
        learns: bool,
    },
    Checking {
        index: usize,
        made: BuildResult,
    },
    Starting {
        start: Start,
        /// Identity of the handover, once it has begun.
        id: Option<HandoverId>,
        /// Whether a build was requested meanwhile.
        builds_next: bool,
    },
}

/// Why a round begins.
#[derive(Debug)]
enum Trigger {
    First,
    Changed(Vec<Change>),
    Asked,
}

/// Result of a build.
#[derive(Debug)]
struct BuildResult {
    executable: Option<PathBuf>,
    work: Work,
}

/// Why a generation is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// It was built and checked.
    New(Work),
    /// The user restarts the last built version.
    Again,
}

/// How an uninterrupted round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoundEnd {
    Serves,
    Fails,
}

impl Status {
    /// The status before the first event. `session` tells this process from others: the time of its beginning.
    pub(crate) fn new(settings: Settings, session: u128) -> Self {
        Self {
            opens: settings.opens,
            requests_wait: settings.requests_wait,
            relevance: Relevance::new(&settings.parts),
            settings,
            page: Page::new(session),
            activity: Activity::Idle,
            step: Step::Making,
            rewritten_files: RewrittenFiles::default(),
            is_failing: false,
            is_built: false,
            round_ended: None,
            heard: None,
            late: Changes::default(),
            unbuilt: Changes::default(),
            changed: Changes::default(),
            last_lines: LastLinesOfNewest::default(),
            told: None,
            level: Level::All,
            opened: Vec::new(),
            told_of_compression: false,
            told_of_version: false,
            refused: Refused::default(),
            waiting: Waiting::default(),
            is_stopped: false,
            chosen_by_others: None,
        }
    }

    /// What pages show.
    pub(crate) fn page(&self) -> &Page {
        &self.page
    }

    /// Takes an event, and returns its effects.
    pub(crate) fn apply(&mut self, event: Event, now: &Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Opened(opened) => self.opened(opened, now, &mut effects),
            Event::Changed(changes) => self.on_changed(changes, now, &mut effects),
            Event::BuildEnded(built) => self.build_ended(built, now, &mut effects),
            Event::CheckEnded(checked) => self.check_ended(checked, now, &mut effects),
            Event::HandoverBegun(begun) => {
                if let Activity::Starting { id, .. } = &mut self.activity {
                    *id = Some(begun);
                }
            }
            Event::HandoverEnded(end) => self.handover_ended(end, now, &mut effects),
            Event::SupersededEnded(result) => self.other_ended(&result, &mut effects),
            Event::GivenUp => effects.push(Effect::Tell(Notice::GivenUp)),
            Event::CouldNot(error) => self.could_not(&error, now, &mut effects),
            Event::BuiltBehind { is_good: true } => {
                effects.push(Effect::Tell(Notice::BuiltBehind));
            }
            Event::BuiltBehind { is_good: false } => {}
            Event::Session(event) => self.on_session(event, &mut effects),
            Event::UnreadLines(unread) => effects.push(Effect::Take(unread)),
            Event::Compressed(path) => {
                if !std::mem::replace(&mut self.told_of_compression, true) {
                    effects.push(Effect::Tell(Notice::Compressed(path)));
                }
            }
            Event::NotUnderstood(understanding) => {
                if !std::mem::replace(&mut self.told_of_version, true) {
                    effects.push(Effect::Tell(Notice::NotUnderstood(understanding)));
                }
            }
            Event::Refused(why, whose) => {
                if self.refused.is_news(why, &whose) {
                    effects.push(Effect::Tell(Notice::Refused(why, whose)));
                }
            }
            Event::Waits(id) => self.wait(id, &mut effects),
            Event::Marked(id) => self.waiting.mark(id),
            Event::NotOpened(error) => {
                effects.push(Effect::Tell(Notice::Trouble(format!("{error:#}"))));
            }
            Event::Key(key) => self.on_key(key, now, &mut effects),
            Event::Stop => self.stop(&mut effects),
        }
        self.answer(&mut effects);
        effects
    }

    fn is_idle(&self) -> bool {
        matches!(self.activity, Activity::Idle)
    }

    fn opened(&mut self, opened: Opened, now: &Now, effects: &mut Vec<Effect>) {
        let Opened {
            notices,
            addresses,
            holder,
            has_keys,
            begins_with_dev,
        } = opened;
        let mut told: Vec<_> = notices.into_iter().map(Notice::Project).collect();
        told.extend(addresses.into_iter().map(|address| Notice::Open {
            address,
            holder: holder.clone(),
        }));
        told.extend(has_keys.then_some(Notice::Keys));
        // An app that goes on without this process has no background build.
        let is_built_behind = begins_with_dev && !self.settings.detaches;
        told.extend(is_built_behind.then_some(Notice::BeginsWithDev));
        effects.extend(told.into_iter().map(Effect::Tell));
        self.begin_round(Trigger::First, now, effects);
    }

    fn on_key(&mut self, key: Key, now: &Now, effects: &mut Vec<Effect>) {
        match key {
            Key::Quit => self.stop(effects),
            Key::Rebuild => self.build_now(now, effects),
            Key::Reload => self.start_again(effects),
            Key::Open => effects.push(Effect::OpenPage),
            Key::Level => {
                self.level = match self.level {
                    Level::All => Level::Warnings,
                    Level::Warnings => Level::Errors,
                    Level::Errors => Level::All,
                };
                effects.push(Effect::Tell(Notice::Level(self.level)));
            }
            Key::Help => effects.push(Effect::Tell(Notice::Keys)),
        }
    }

    fn stop(&mut self, effects: &mut Vec<Effect>) {
        // What runs ends with the loop.
        self.activity = Activity::Idle;
        self.is_stopped = true;
        effects.push(Effect::End(Ending::Stopped));
    }

    fn on_session(&mut self, event: SessionEvent, effects: &mut Vec<Effect>) {
        let told = match event {
            SessionEvent::Line(generation, line) => {
                self.last_lines.hear(generation, &line);
                if !shows(self.level, &line) {
                    return;
                }
                Notice::Line(generation, line)
            }
            SessionEvent::LinesLost(count) => Notice::LinesLost(count),
            SessionEvent::Gone(generation, why) => {
                let title = format!("generation {generation} is gone");
                self.page
                    .is_gone(generation.0, Failure::of_output(title, why.clone()));
                self.fail(effects);
                Notice::Gone(generation, why)
            }
            SessionEvent::Opened(addresses) => {
                if self.opened == addresses {
                    return;
                }
                self.opened.clone_from(&addresses);
                Notice::OpenedByApp(addresses)
            }
            SessionEvent::HoldsPort {
                generation,
                addresses,
                limit,
            } => Notice::HoldsPort {
                generation,
                addresses,
                limit,
            },
            SessionEvent::Rested(generation) => Notice::Rested(generation),
            SessionEvent::Restarted(generation, why) => Notice::Restarted(generation, why),
            SessionEvent::Drained(generation, said) => Notice::Drained(generation, said),
            SessionEvent::Cut(generation, said) => Notice::Cut(generation, said),
            SessionEvent::Trouble(what) => Notice::Trouble(what),
            SessionEvent::Recorded(record) => return self.recorded(record, effects),
            SessionEvent::Ended(result) => return self.other_ended(&result, effects),
        };
        effects.push(Effect::Tell(told));
    }

    /// The newest sources, or the serving version, have a failure.
    fn fail(&mut self, effects: &mut Vec<Effect>) {
        self.is_failing = true;
        // Saving a file again asks for another try.
        effects.push(Effect::TakeAllAsNew);
    }
}

/// Whether a line of the app is shown, by the level that loggers write. A line without one belongs to the line before it,
/// or to a panic.
fn shows(level: Level, line: &str) -> bool {
    let hidden: &[&str] = match level {
        Level::All => &[],
        Level::Warnings => &["TRACE", "DEBUG", "INFO"],
        Level::Errors => &["TRACE", "DEBUG", "INFO", "WARN"],
    };
    !hidden.iter().any(|word| line.contains(word))
}
