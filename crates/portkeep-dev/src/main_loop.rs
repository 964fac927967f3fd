//! Main loop: receives events, has the status decide, and carries out the effects.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use portkeep_engine::handover::HandoverId;
use portkeep_engine::{Cancel, Misuse};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::build::{BackgroundBuild, Build, Checking, Direct, check_line};
use super::change::Change;
use super::effect::{Effect, Ending, Notice};
use super::event::{Event, HandoverEnd, Now, SessionEvent, WaitId, Work};
use super::events::Events;
use super::host::Host;
use super::options::Options;
use super::pages::Pages;
use super::project::{Difference, Learned, Project};
use super::runtime::{HandingOver, Session};
use super::screen::Screen;
use super::status::Status;
use super::terminal::{Keys, Signals, Terminal, open_browser};
use super::unread_lines::{Taken, UnreadLines};
use super::watch::{Seen, Watch};

/// How long a build or a check may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same when the user ends `portkeep dev`, and waits for it.
const PATIENCE_AT_THE_END: Duration = Duration::from_millis(400);
/// How long the end of what was killed is waited for then: the kernel may keep a process that waits for a disk.
const KILLED: Duration = Duration::from_millis(400);

/// What the loop receives, besides signals.
pub(crate) struct Inputs<'p> {
    pub(crate) keys: &'p mut Keys,
    pub(crate) behind: BackgroundBuild,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    /// The sending end of `events`.
    pub(crate) sender: mpsc::UnboundedSender<Event>,
}

/// Whom the loop shows what happens.
pub(crate) struct Views<'a> {
    pub(crate) terminal: &'a Terminal,
    pub(crate) pages: &'a Pages,
    pub(crate) screen: Arc<dyn Screen>,
    pub(crate) events: Option<&'a Events>,
}

pub(crate) struct MainLoop<'a, 'p> {
    pub(crate) project: &'a Project,
    pub(crate) session: &'a Session,
    pub(crate) status: &'a mut Status,
    pub(crate) views: Views<'a>,
    pub(crate) inputs: &'a mut Inputs<'p>,
    pub(crate) watch: Watch,
    direct: Direct,
    job: Job<'a>,
    superseded: Vec<Superseded>,
    ending: Option<Ending>,
    finding: Finding,
    /// The project as it is now, if another session has to begin.
    reopened: Option<Project>,
}

/// How the project is found.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) options: Arc<Options>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) learned: Learned,
}

impl Finding {
    /// Finds the project beside the loop, because it has to ask cargo.
    pub(crate) async fn find(&self) -> anyhow::Result<Project> {
        let finding = self.clone();
        let Finding {
            options,
            host,
            learned,
        } = finding;
        let found = move || Project::find(&options, &*host, &learned);
        spawn_blocking(found)
            .await
            .context("the project cannot be looked at")?
    }
}

/// How the loop ended.
pub(crate) struct Ended {
    pub(crate) ending: Ending,
    /// The project as it is now, if another session has to begin.
    pub(crate) reopened: Option<Project>,
    pub(crate) learned: Learned,
}

impl Ended {
    /// The user ended it before the loop began.
    pub(crate) fn stopped() -> Self {
        Self {
            ending: Ending::Stopped,
            reopened: None,
            learned: Learned::default(),
        }
    }
}

/// What runs for the current round.
enum Job<'a> {
    Nothing,
    Build(Box<Build<'a>>),
    /// A check, and its words.
    Check(Checking, String),
    Handover(HandingOver, Cancel),
}

impl Job<'_> {
    /// Waits for its end, for ever if nothing runs. Can be dropped and called again.
    async fn end(&mut self, pages: &Pages, session: &Session) -> Event {
        let ended = match self {
            Self::Nothing => std::future::pending().await,
            Self::Build(build) => {
                let built = build.finish().await;
                built
                    .map(Event::BuildEnded)
                    .context("the project cannot be built")
            }
            Self::Check(checking, line) => {
                let checked = checking.finish().await;
                checked
                    .map(Event::CheckEnded)
                    .with_context(|| format!("the check `{line}` cannot be run"))
            }
            Self::Handover(handover, _) => {
                let result = handover.await;
                let serves = session.serves().map_or(0, |generation| generation.0);
                Ok(Event::HandoverEnded(HandoverEnd {
                    requests_wait: pages.is_held_in(serves),
                    result,
                }))
            }
        };
        ended.unwrap_or_else(Event::CouldNot)
    }

    async fn cancel(&mut self, patience: Duration) {
        match self {
            Self::Build(build) => build.cancel(patience).await,
            Self::Check(checking, _) => checking.cancel(patience).await,
            Self::Nothing | Self::Handover(..) => {}
        }
    }
}

/// A handover that newer sources have superseded. It goes on, because what it starts may be READY before those are built;
/// it ends at the latest with this value.
struct Superseded {
    task: JoinHandle<()>,
    cancel: Cancel,
}

impl Superseded {
    fn new(handover: HandingOver, cancel: Cancel, events: mpsc::UnboundedSender<Event>) -> Self {
        let is_given_up = cancel.clone();
        let task = tokio::spawn(async move {
            let result = handover.await;
            let event = if result.is_err() && is_given_up.is_asked() {
                Event::GivenUp
            } else {
                Event::SupersededEnded(result)
            };
            // Nobody receives any more: this process is ending.
            let _ = events.send(event);
        });
        Self { task, cancel }
    }
}

impl Drop for Superseded {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<'a, 'p> MainLoop<'a, 'p> {
    pub(crate) fn new(
        project: &'a Project,
        session: &'a Session,
        status: &'a mut Status,
        views: Views<'a>,
        inputs: &'a mut Inputs<'p>,
        watch: Watch,
        finding: Finding,
    ) -> Self {
        Self {
            project,
            session,
            status,
            views,
            inputs,
            watch,
            direct: Direct::of(project),
            job: Job::Nothing,
            superseded: Vec::new(),
            ending: None,
            finding,
            reopened: None,
        }
    }

    /// Runs until the user ends it. Whatever it waits for, a signal ends that.
    pub(crate) async fn run(mut self, first: Event, signals: &mut Signals) -> Ended {
        let stopped = signals.unless_stopped(self.run_to_its_end(first)).await;
        if stopped.is_err() {
            self.take_in(Event::Stop).await;
        }
        // By itself, or because of a signal that came meanwhile.
        let work = self.end_work(PATIENCE_AT_THE_END);
        let _ = timeout(PATIENCE_AT_THE_END + KILLED, work).await;
        Ended {
            ending: self.ending.unwrap_or(Ending::Stopped),
            reopened: self.reopened,
            learned: self.finding.learned,
        }
    }

    /// Can be dropped wherever it waits, if nothing follows but the end.
    async fn run_to_its_end(&mut self, first: Event) {
        let mut event = first;
        loop {
            self.take_in(event).await;
            if self.ending.is_some() {
                break;
            }
            event = self.next().await;
            if let Event::Changed(changes) = &event {
                for notice in self.watch.take_notices() {
                    self.tell_of_project(notice);
                }
                self.look_again(changes).await;
                if self.ending.is_some() {
                    break;
                }
            }
        }
        if self.ending == Some(Ending::Reopened) {
            self.end_work(PATIENCE).await;
        }
    }

    /// Ends what runs for this session's builds.
    async fn end_work(&mut self, patience: Duration) {
        tokio::join!(self.job.cancel(patience), self.inputs.behind.stop(patience));
        self.job = Job::Nothing;
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            event = self.job.end(self.views.pages, self.session) => {
                self.job = Job::Nothing;
                event
            }
            key = self.inputs.keys.next() => Event::Key(key),
            is_good = self.inputs.behind.ended() => Event::BuiltBehind { is_good },
            seen = self.watch.next() => match seen {
                Seen::Changed(paths) => {
                    Event::Changed(paths.into_iter().map(Change::of).collect())
                }
                Seen::Mark(number) => Event::Marked(WaitId(number)),
            },
            Some(event) = self.inputs.events.recv() => event,
        }
    }

    /// Has the status decide about an event and its consequences, and carries out the effects.
    async fn take_in(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        let mut moment = now(self.session);
        while let Some(event) = events.pop_front() {
            let is_start = matches!(
                event,
                Event::HandoverEnded(_) | Event::Session(SessionEvent::Ended(_))
            );
            // A flood of lines must not be held up: they change nothing that a page shows, and need no new moment.
            let is_line = matches!(event, Event::Session(SessionEvent::Line(..)));
            if !is_line {
                moment = now(self.session);
            }
            let effects = self.status.apply(event, &moment);
            if !is_line {
                self.views.pages.show(self.status.page());
            }
            for effect in effects {
                match effect {
                    Effect::Take(unread) => events.extend(taken(&unread)),
                    effect => events.extend(self.perform(effect).await),
                }
            }
            if is_start && let Some(misuse) = self.session.take_misuse() {
                self.learn(misuse).await;
            }
        }
    }

    /// Carries out one effect. Returns an event that follows at once.
    async fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Tell(notice) => {
                self.views.terminal.show(&notice);
                if let Some(events) = self.views.events {
                    events.tell(&notice);
                }
            }
            Effect::EndRound(verdict) => {
                if let Some(events) = self.views.events {
                    events.end_round(&verdict);
                }
            }
            Effect::Take(_) => {}
            Effect::Build(changed) => return self.build(changed.as_deref()),
            Effect::Check(index) => return self.check(index),
            Effect::HandOver { executable, work } => return Some(self.hand_over(executable, work)),
            Effect::StartAgain => return Some(self.start_again()),
            Effect::Cancel => {
                self.job.cancel(PATIENCE).await;
                self.job = Job::Nothing;
            }
            Effect::Supersede => {
                let job = std::mem::replace(&mut self.job, Job::Nothing);
                if let Job::Handover(handover, cancel) = job {
                    let events = self.inputs.sender.clone();
                    self.superseded
                        .push(Superseded::new(handover, cancel, events));
                }
            }
            Effect::Watch(inputs) => self.watch.also(&inputs),
            Effect::TakeAllAsNew => self.watch.take_all_as_new(),
            Effect::BuildBehind => {
                let children = self.session.children();
                self.inputs.behind.begin(self.project, &children);
            }
            Effect::OpenPage => {
                let url = self.session.url()?;
                return open_browser(&url).err().map(Event::NotOpened);
            }
            Effect::Mark(WaitId(number)) => self.watch.mark(number),
            Effect::Answer(ids, verdict) => self.views.pages.answer(ids, verdict),
            Effect::End(ending) => self.ending = Some(ending),
        }
        None
    }

    /// Finds the project again if a change may have altered it. A changed environment is taken over; any other difference
    /// begins another session. A build reports a project that cannot be read.
    async fn look_again(&mut self, changes: &[Change]) {
        let mut paths = changes.iter().map(|change| change.path.as_path());
        let Some(path) = paths.find(|path| self.project.is_shaped_by(path)) else {
            return;
        };
        let path = path.to_owned();
        // What was learned belongs to sources that have changed.
        self.finding.learned = Learned::default();
        match self.finding.find().await {
            Ok(project) => self.become_project(project, &path.display().to_string()),
            Err(error) if path.ends_with("Cargo.toml") => drop(error),
            Err(error) => {
                let trouble = format!("{error:#}; what was read before counts");
                self.tell_of_project(trouble);
            }
        }
    }

    /// A start has shown that the app handles its sockets in another way than it seemed to.
    async fn learn(&mut self, misuse: Misuse) {
        let Some(learned) = Learned::of(misuse) else {
            return;
        };
        self.finding.learned = learned;
        if let Ok(project) = self.finding.find().await {
            self.become_project(project, "what the app does with its sockets");
        }
    }

    fn become_project(&mut self, project: Project, why: &str) {
        if self.project.difference(&project) == Difference::Session {
            let words = match (self.project.binds_itself, project.binds_itself) {
                (false, true) => "the app opens its port itself from now on, and nobody holds it",
                (true, false) => "the app takes the sockets that are held for it from now on",
                _ => "everything is started again",
            };
            self.tell_of_project(format!("{why}: {words}"));
            self.reopened = Some(project);
            self.ending = Some(Ending::Reopened);
            return;
        }
        match self.session.set_environment(&project) {
            Ok(notices) => notices
                .into_iter()
                .for_each(|one| self.tell_of_project(one)),
            Err(error) => self.tell_of_project(format!("{error:#}")),
        }
    }

    fn tell_of_project(&self, words: String) {
        self.views.terminal.show(&Notice::Project(words));
    }

    fn build(&mut self, changed: Option<&[PathBuf]>) -> Option<Event> {
        let directory = &self.project.directory;
        if !directory.is_dir() {
            return Some(Event::CouldNot(anyhow!(
                "the project {} is gone: it was moved or removed; put it back, or start `portkeep dev` where it is now",
                directory.display()
            )));
        }
        let with = self.inputs.behind.with();
        let screen = self.views.screen.clone();
        let build = Build::start(
            self.project,
            with,
            &self.direct,
            changed,
            screen,
            &self.session.children(),
        );
        match build.context("the project cannot be built") {
            Ok(build) => {
                self.job = Job::Build(Box::new(build));
                None
            }
            Err(error) => Some(Event::CouldNot(error)),
        }
    }

    fn check(&mut self, index: usize) -> Option<Event> {
        let check = self.project.spec.checks.get(index)?;
        let line = check_line(check);
        let checking = Checking::start(
            check,
            self.project,
            self.views.screen.clone(),
            &self.session.children(),
        );
        match checking.with_context(|| format!("the check `{line}` cannot be run")) {
            Ok(checking) => {
                self.job = Job::Check(checking, line);
                None
            }
            Err(error) => Some(Event::CouldNot(error)),
        }
    }

    fn hand_over(&mut self, executable: Option<PathBuf>, work: Work) -> Event {
        let (id, cancel) = (HandoverId::unique(), Cancel::default());
        match self.session.hand_over(executable, &id, &cancel) {
            Ok(handover) => {
                self.job = Job::Handover(handover, cancel);
                if work == Work::Something {
                    self.cancel_superseded();
                }
                Event::HandoverBegun(id)
            }
            Err(error) => Event::CouldNot(error.context("the new version cannot be put in place")),
        }
    }

    fn start_again(&mut self) -> Event {
        let (id, cancel) = (HandoverId::unique(), Cancel::default());
        let handover = self.session.start_again(&id, &cancel);
        self.job = Job::Handover(handover, cancel);
        Event::HandoverBegun(id)
    }

    /// The newly published version is to start: cancels superseded starts of another release.
    fn cancel_superseded(&mut self) {
        self.superseded.retain(|one| !one.task.is_finished());
        if self.session.has_other_release() {
            for superseded in &self.superseded {
                superseded.cancel.ask();
            }
        }
    }
}

/// Lines of generations, as events.
pub(crate) fn taken(unread: &UnreadLines) -> impl Iterator<Item = Event> + use<> {
    let Taken { lines, lost } = unread.take();
    let lost = (lost > 0).then_some(SessionEvent::LinesLost(lost));
    let lines = lines
        .into_iter()
        .map(|(generation, line)| SessionEvent::Line(generation, line));
    lost.into_iter().chain(lines).map(Event::Session)
}

/// The moment, and the generation that serves then.
pub(crate) fn now(session: &Session) -> Now {
    Now {
        at: Instant::now(),
        milliseconds: milliseconds(),
        serves: session.serves(),
    }
}

/// Since 1970.
pub(crate) fn milliseconds() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis()
}
