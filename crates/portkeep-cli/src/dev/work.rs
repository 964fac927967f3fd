//! The loop: build, check, hand over, wait for a change.

mod changed;
mod failing;
mod follow;
mod telling;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use portkeep_engine::{GiveUp, Outcome};

use self::follow::Overtaken;

use super::browser::{Browser, Failure};
use super::build::{self, Build, Built};
use super::checking::{self, Checked, Checking};
use super::direct::Direct;
use super::inputs::{Inputs, Wake};
use super::keys::{self, Key};
use super::last_words::LastWords;
use super::open_browser::open_browser;
use super::project::{Project, With, url};
use super::relevance::{self, Relevance};
use super::report::{self, Report};
use super::restless::Restless;
use super::session::{self, Session};
use super::sources::Sources;
use crate::command::dev::{Args, WhileBuilding};

/// Why the loop ended.
pub(super) enum Ending {
    /// The user wants it.
    Stopped,
    /// It serves, and is to go on without us.
    Detached,
    /// It was to go on without us, but does not serve.
    Failed,
}

/// Why something is built.
enum Why {
    First,
    Changed(Vec<PathBuf>),
    Asked,
}

/// How one round from sources to a serving generation ended.
enum Round {
    Serves,
    Fails,
    /// Something changed in the middle of it.
    Again(Why),
    Stopped,
}

/// Why a generation is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// It was built and checked.
    New(build::Work),
    /// The user wants what was built last to start once more.
    Again,
}

/// What comes of something that wakes us.
enum Then {
    GoOn,
    Build(Why),
    Restart,
    Stop,
}

pub(super) struct Work<'a> {
    project: &'a Project,
    args: &'a Args,
    session: &'a Session,
    report: &'a Report,
    browser: &'a Browser,
    sources: Sources,
    inputs: &'a mut Inputs,
    relevance: Relevance,
    direct: Direct,
    restless: Restless,
    /// A failure is shown.
    failing: bool,
    /// The last build came to a good end: what a build does next, it does because of what changed since.
    is_built: bool,
    /// Nothing while a round is under way.
    round_ended: Option<Instant>,
    /// What changed in a round without ending it.
    late: Vec<PathBuf>,
    overtaken: Vec<Overtaken>,
    /// What changed since the last version that serves.
    changed: Vec<PathBuf>,
    /// What the newest generation wrote.
    last_words: LastWords,
    /// The browser is still to be opened.
    open: bool,
    /// While a handover of ours is followed: what the history says of handovers. Ours is among them, and is told with what
    /// changed, when it is over.
    meanwhile: Option<Vec<Outcome>>,
    /// Requests are to wait for builds; nobody knows yet whether they do.
    holds: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        project: &'a Project,
        args: &'a Args,
        session: &'a Session,
        report: &'a Report,
        browser: &'a Browser,
        sources: Sources,
        inputs: &'a mut Inputs,
    ) -> Self {
        Self {
            project,
            args,
            session,
            report,
            browser,
            sources,
            inputs,
            relevance: Relevance::default(),
            direct: Direct::of(project),
            restless: Restless::default(),
            failing: false,
            is_built: false,
            round_ended: None,
            late: Vec::new(),
            overtaken: Vec::new(),
            changed: Vec::new(),
            last_words: LastWords::default(),
            open: args.open,
            meanwhile: None,
            holds: project.while_building == WhileBuilding::Hold,
        }
    }

    pub(super) async fn run(mut self) -> anyhow::Result<Ending> {
        // What goes on without us is not built behind anything.
        if self.inputs.behind.with() == With::Dev && !self.args.detach {
            self.report.begins_with_dev();
        }
        let mut why = Why::First;
        loop {
            // The last good version serves all the while.
            let round = self.round(&why).await;
            // The port is kept, whatever goes wrong: the next change tries again.
            let round = round.unwrap_or_else(|error| self.could_not(&error));
            let left = self.end_round();
            match round {
                Round::Stopped => return Ok(Ending::Stopped),
                Round::Again(next) => {
                    why = next;
                    continue;
                }
                Round::Serves if self.args.detach => return Ok(Ending::Detached),
                Round::Fails if self.args.detach => return Ok(Ending::Failed),
                Round::Serves => self.inputs.behind.begin(self.project),
                Round::Fails => {}
            }
            if let Some(left) = left {
                why = left;
                continue;
            }
            why = loop {
                let wake = self.inputs.next(&mut self.sources).await;
                match self.on(wake) {
                    Then::GoOn => {}
                    Then::Build(next) => break next,
                    Then::Stop => return Ok(Ending::Stopped),
                    Then::Restart => {
                        let give_up = GiveUp::default();
                        let handover = self.session.start_again(&give_up);
                        match self.follow(handover, give_up, Start::Again).await {
                            Round::Stopped => return Ok(Ending::Stopped),
                            Round::Again(next) => break next,
                            Round::Serves | Round::Fails => {}
                        }
                    }
                }
            };
        }
    }

    async fn round(&mut self, why: &Why) -> anyhow::Result<Round> {
        let learns = self.begin_round();
        let changed = match why {
            Why::Changed(paths) => Some(&**paths),
            Why::First | Why::Asked => None,
        };
        let what = changed.map(|paths| self.sources.name(paths));
        self.report.building(what.as_deref());
        self.browser
            .tell(|state| state.building(what.as_deref().unwrap_or_default()));

        let cannot_build = "the project cannot be built";
        let with = self.inputs.behind.with();
        let build = Build::start(self.project, with, &self.direct, changed);
        let mut build = build.context(cannot_build)?;
        let built = loop {
            tokio::select! {
                built = build.finish() => break built,
                wake = self.inputs.next(&mut self.sources) => if let Some(end) = self.interrupts(wake) {
                    build.cancel().await;
                    return Ok(end);
                },
            }
        };
        if built.is_err() {
            build.cancel().await;
        }
        let (executable, work, inputs) = match built.context(cannot_build)? {
            Built::Good {
                executable,
                took,
                work,
                inputs,
            } => {
                self.report.built(took);
                (executable, work, inputs)
            }
            Built::Bad { took, parts } => {
                self.report.build_failed(took, self.session.serves());
                return Ok(self.fails(Failure::new("the build failed", parts)));
            }
        };
        self.is_built = true;
        if executable.is_some() {
            self.sources.also(&inputs);
            self.relevance.built(inputs);
        }
        if let (true, build::Work::Nothing, Why::Changed(paths)) = (learns, work, why) {
            self.relevance.not_built(paths);
        }
        if let Some(end) = self.check().await? {
            return Ok(end);
        }
        self.report.starting();
        self.browser.tell(|state| state.starting());
        let give_up = GiveUp::default();
        let handover = self.session.hand_over(executable, &give_up);
        let handover = handover.context("the new version cannot be put in place")?;
        self.give_up_overtaken(work);
        Ok(self.follow(handover, give_up, Start::New(work)).await)
    }

    /// Runs the checks. What it answers ends the round.
    async fn check(&mut self) -> anyhow::Result<Option<Round>> {
        for check in &self.project.spec.checks {
            let line = checking::line(check);
            self.report.checking(&line);
            self.browser.tell(|state| state.checking(&line));
            let cannot_check = || format!("the check `{line}` cannot be run");
            let mut checking = Checking::start(check, self.project).with_context(cannot_check)?;
            let checked = loop {
                tokio::select! {
                    checked = checking.finish() => break checked.with_context(cannot_check)?,
                    wake = self.inputs.next(&mut self.sources) => if let Some(end) = self.interrupts(wake) {
                        checking.cancel().await;
                        return Ok(Some(end));
                    },
                }
            };
            match checked {
                Checked::Passed(took) => self.report.check_passed(&line, took),
                Checked::Failed(took, text) => {
                    self.report.check_failed(&line, took, self.session.serves());
                    let title = format!("the check `{line}` failed");
                    return Ok(Some(self.fails(Failure::of_check(title, &text))));
                }
            }
        }
        Ok(None)
    }

    /// What ends a build or a check before it is over.
    fn interrupts(&mut self, wake: Wake) -> Option<Round> {
        match self.on(wake) {
            Then::Build(why) => Some(Round::Again(why)),
            Then::Stop => Some(Round::Stopped),
            // It is started anew anyhow.
            Then::GoOn | Then::Restart => None,
        }
    }

    fn on(&mut self, wake: Wake) -> Then {
        match wake {
            Wake::Stop | Wake::Key(Key::Quit) => return Then::Stop,
            Wake::Key(Key::Rebuild) => return Then::Build(Why::Asked),
            Wake::Key(Key::Reload) => return Then::Restart,
            Wake::Key(Key::Open) => self.open_page(),
            Wake::Key(Key::Level) => self.report.next_level(),
            Wake::Key(Key::Help) => self.report.line(keys::HELP),
            Wake::Session(event) => self.on_session(*event),
            Wake::Changed(paths) => return self.on_changed(paths),
            Wake::BuiltBehind(is_good) => self.report.built_behind(is_good),
        }
        Then::GoOn
    }

    fn on_session(&mut self, event: session::Event) {
        match &event {
            session::Event::Line(generation, line) => self.last_words.hear(*generation, line),
            session::Event::Recorded(record) => {
                match (report::told_by(record), &mut self.meanwhile) {
                    (Err(_), _) => {}
                    (Ok(outcome), Some(heard)) => heard.push(outcome),
                    (Ok(outcome), None) => self.tell_others(&outcome),
                }
            }
            session::Event::Ended(Ok(outcome)) => self.tell_others(outcome),
            session::Event::Gone(generation, why) => {
                let failure = Failure::of_output(format!("generation {generation} is gone"), why);
                self.browser
                    .tell(|state| state.is_gone(generation.0, failure));
                self.is_failing();
            }
            _ => {}
        }
        self.session.on_event(event, self.report);
    }

    fn open_page(&self) {
        let Some(first) = self.session.spec().listen.first() else {
            return;
        };
        if let Err(error) = open_browser(&url(first)) {
            self.report.line(format!("{error:#}"));
        }
    }
}
