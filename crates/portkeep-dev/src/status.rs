//! Status of a project under development, and the effects of each event on it.
//!
//! Nothing here reads a file, asks a clock or prints: whoever feeds events does what the effects say. The terminal and the
//! pages show this and decide nothing.

mod changes;
mod handovers;
mod last_lines;
mod page;
mod refused;
mod relevance;
mod restless;
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

use self::last_lines::LastLines;
pub(crate) use self::page::{Page, Phase};
use self::refused::Refused;
use self::relevance::Relevance;
use self::restless::Restless;
use self::waiting::Waiting;
use super::change::{Change, Changes};
use super::effect::{Effect, Ending, Level, Notice, Step};
use super::event::{Event, Key, Now, Opened, SessionEvent, Work};
use super::failure::Failure;

/// What does not change while a project is developed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// The checks between a build and the swap, as people write them.
    pub(crate) checks: Vec<String>,
    /// The app is to be left running as soon as it serves.
    pub(crate) detaches: bool,
    /// The browser is opened when the app serves for the first time.
    pub(crate) opens: bool,
    /// Requests are to wait for builds.
    pub(crate) requests_wait: bool,
    /// What changed is built when the key for it is pressed.
    pub(crate) builds_on_key: bool,
    /// What cargo writes while it builds or checks.
    pub(crate) lock_file: Option<PathBuf>,
    /// The project's directory.
    pub(crate) directory: PathBuf,
    /// There is no build: what runs is what the project has.
    pub(crate) builds_nothing: bool,
    /// What a release brings along, and what it runs where that is in the project.
    pub(crate) parts: Vec<PathBuf>,
    /// Files are called as they are from here.
    pub(crate) here: PathBuf,
}

/// What is known, and what is under way.
#[derive(Debug)]
pub(crate) struct Status {
    settings: Settings,
    page: Page,
    activity: Activity,
    /// How far the newest version has come.
    step: Step,
    relevance: Relevance,
    restless: Restless,
    /// A failure is shown.
    is_failing: bool,
    /// The last build came to a good end: what a build does next, it does because of what changed since.
    is_built: bool,
    /// Nothing while a round is under way.
    round_ended: Option<Instant>,
    /// When the last change was heard of.
    heard: Option<Instant>,
    /// What changed in a round without ending it.
    late: Changes,
    /// What changed and waits for a key.
    unbuilt: Changes,
    /// What changed since the last version that serves.
    changed: Changes,
    /// What the newest generation wrote.
    last_lines: LastLines,
    /// The newest generation whose handover was told.
    told: Option<Generation>,
    /// Which of the app's lines are shown.
    level: Level,
    /// The browser is still to be opened.
    opens: bool,
    /// Requests are to wait for builds; nobody knows yet whether they do.
    requests_wait: bool,
    /// Where the app was told to have opened its port itself.
    opened: Vec<Address>,
    /// It was told that a page came compressed.
    told_of_compression: bool,
    /// It was told that the library speaks another version.
    told_of_version: bool,
    refused: Refused,
    waiting: Waiting,
    /// Nothing more comes.
    is_stopped: bool,
    /// The generation that another command chose to serve, which may not be of the newest sources.
    chosen_by_others: Option<Generation>,
}

/// What is under way.
#[derive(Debug)]
enum Activity {
    Idle,
    Building {
        trigger: Trigger,
        /// Whether something is to be learned if the build finds nothing to do.
        learns: bool,
    },
    Checking {
        index: usize,
        made: Made,
    },
    Starting {
        start: Start,
        /// Which handover it is, once it has begun.
        id: Option<HandoverId>,
        /// A build was asked for meanwhile.
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

/// What a build made.
#[derive(Debug)]
struct Made {
    executable: Option<PathBuf>,
    work: Work,
}

/// Why a generation is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// It was built and checked.
    New(Work),
    /// The user wants what was built last to start once more.
    Again,
}

/// How a round ended that nothing interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoundEnd {
    Serves,
    Fails,
}

impl Status {
    /// Before anything has happened. `session` tells this process from others: the moment at which it begins.
    pub(crate) fn new(settings: Settings, session: u128) -> Self {
        Self {
            opens: settings.opens,
            requests_wait: settings.requests_wait,
            relevance: Relevance::new(&settings.parts),
            settings,
            page: Page::new(session),
            activity: Activity::Idle,
            step: Step::Making,
            restless: Restless::default(),
            is_failing: false,
            is_built: false,
            round_ended: None,
            heard: None,
            late: Changes::default(),
            unbuilt: Changes::default(),
            changed: Changes::default(),
            last_lines: LastLines::default(),
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

    /// What pages have to know.
    pub(crate) fn page(&self) -> &Page {
        &self.page
    }

    /// Takes an event in, and answers what is done because of it.
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
            Event::OvertakenEnded(result) => self.other_ended(&result, &mut effects),
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
        // What goes on without us is not built behind anything.
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
        if matches!(
            self.activity,
            Activity::Building { .. } | Activity::Checking { .. }
        ) {
            effects.push(Effect::Cancel);
        }
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

    /// The newest sources, or what serves, are not as they should be.
    fn fail(&mut self, effects: &mut Vec<Effect>) {
        self.is_failing = true;
        // To save a file once more is to ask for another try.
        effects.push(Effect::TakeAllAsNew);
    }
}

/// Whether a line of the app's is shown: by the word that loggers write. A line without one belongs to the line before it, or
/// to a panic.
fn shows(level: Level, line: &str) -> bool {
    let hidden: &[&str] = match level {
        Level::All => &[],
        Level::Warnings => &["TRACE", "DEBUG", "INFO"],
        Level::Errors => &["TRACE", "DEBUG", "INFO", "WARN"],
    };
    !hidden.iter().any(|word| line.contains(word))
}
