//! The development loop behind `portkeep dev`: hold the port, build, check, hand over, watch, again.
//!
//! One loop receives events (`event`), has one model decide (`status`) and carries out its effects (`effect`). The terminal
//! and the pages are views of the model. Sessions run the app and report what happens to it.

mod attached;
mod build;
mod change;
pub mod control;
mod diagnostics;
mod effect;
mod event;
mod events;
mod failure;
mod host;
mod input;
mod main_loop;
mod options;
mod other_loopback;
mod pages;
mod project;
mod queued_screen;
mod runtime;
mod screen;
mod status;
mod streams;
mod terminal;
#[cfg(test)]
mod tests;
mod unread_lines;
mod usage;
mod verdict;
mod watch;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use portkeep_spec::AppName;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use self::build::{BackgroundBuild, check_line};
use self::effect::{Effect, Ending, Notice};
use self::event::{Event, Now, Opened};
use self::events::Events;
use self::input::InputRelay;
use self::main_loop::{Ended, Finding, Inputs, MainLoop, Views, milliseconds, now, taken};
use self::other_loopback::OtherLoopback;
use self::pages::Pages;
use self::project::{BuildCommand, Learned, Project, url};
use self::queued_screen::QueuedScreen;
use self::runtime::Session;
use self::status::{Settings, Status};
use self::terminal::{Keys, Signals, Terminal};
use self::watch::Watch;

pub use portkeep_contract::development::AllowedHost;

pub use self::attached::{Choice, wait};
pub use self::build::wrap_rustc;
pub use self::host::Host;
pub use self::options::{Backend, Input, Options, Port, WhileBuilding};
pub use self::screen::{Line, Piece, Screen};
pub use self::usage::Usage;
pub use self::verdict::{Diagnostic, Found, Severity, VERDICT_VERSION, Verdict};

/// How long a terminal may take for the last lines.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Develops a project until the user ends it.
///
/// # Errors
/// When the project cannot be developed, or what was placed for it cannot be removed.
pub async fn run(
    options: Options,
    host: Arc<dyn Host>,
    screen: Arc<dyn Screen>,
) -> anyhow::Result<ExitCode> {
    let screen = QueuedScreen::before(screen);
    let result = run_on(&options, host, Arc::new(screen.clone())).await;
    screen.finish(LAST_WORDS);
    result
}

async fn run_on(
    options: &Options,
    host: Arc<dyn Host>,
    screen: Arc<dyn Screen>,
) -> anyhow::Result<ExitCode> {
    let mut finding = Finding {
        options: Arc::new(options.clone()),
        host,
        learned: Learned::default(),
    };
    let mut project = Project::find(options, &*finding.host, &finding.learned)?;
    // Later looks at the project keep its ports.
    if let Some(port) = project.chosen_ports() {
        let options = Options {
            port: Some(port),
            ..options.clone()
        };
        finding.options = Arc::new(options);
    }
    // Before anything is started, so that Ctrl-C always cleans up.
    let signals = Signals::listen()?;
    let events = options.events.as_deref().map(|path| {
        let (name, directory) = (&project.spec.name, &project.directory);
        Events::open(path, name, directory, screen.clone())
    });
    let mut person = Person::listen(options, signals, events.transpose()?)?;
    let result = loop {
        let project_now = Arc::new(project);
        let ended = session(&project_now, &finding, &screen, &mut person).await;
        match ended {
            Ok(Ended {
                ending: Ending::Reopened,
                reopened: Some(other),
                learned,
            }) => {
                project = other;
                finding.learned = learned;
            }
            Ok(ended) => break Ok(ended.ending),
            Err(error) => break Err(error),
        }
    };
    if let Err(error) = &result {
        person.end_pages(format!("{error:#}")).await;
    }
    Ok(match result? {
        Ending::Failed => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

/// Signals, keys, input, the event file, pages and commands that wait: they outlive a session.
struct Person {
    signals: Signals,
    keys: Keys,
    /// Input for the app.
    feed: Option<InputRelay>,
    events: Option<Events>,
    /// Since the first session.
    pages: Option<Pages>,
}

impl Person {
    fn listen(
        options: &Options,
        mut signals: Signals,
        events: Option<Events>,
    ) -> anyhow::Result<Self> {
        let Input {
            is_for_the_app,
            ends_us,
        } = options.input;
        let keys = match is_for_the_app {
            true => Keys::none(),
            false => Keys::listen(ends_us.then(|| signals.more())),
        };
        if options.builds_on_key && !keys.are_heard() {
            return Err(usage::usage(
                "--build-on-key: no keys are heard here; run it in a terminal, in the foreground",
            ));
        }
        // Standard input is the terminal's keys, if those are read.
        let feed = match keys.are_heard() {
            true => None,
            false => input::read(std::io::stdin(), options.input, signals.more()),
        };
        Ok(Self {
            signals,
            keys,
            feed,
            events,
            pages: None,
        })
    }

    /// Nothing follows. Commands that wait get this reason.
    async fn end_pages(&mut self, reason: String) {
        if let Some(pages) = self.pages.take() {
            pages.end(reason).await;
        }
    }
}

/// One session with a project, until it ends or another one has to begin.
async fn session(
    project: &Arc<Project>,
    finding: &Finding,
    screen: &Arc<dyn Screen>,
    person: &mut Person,
) -> anyhow::Result<Ended> {
    let (sender, events) = mpsc::unbounded_channel();
    let (options, host) = (&finding.options, finding.host.clone());
    let channel = (sender.clone(), person.feed.clone());
    let prepared = Session::prepare(project, options, host, channel);
    let Ok(prepared) = person.signals.unless_stopped(prepared).await else {
        let terminal = Terminal::new(project.spec.name.clone(), screen.clone());
        terminal.show(&Notice::Stopping);
        person.end_pages(ended_words(&project.spec.name)).await;
        return Ok(Ended::stopped());
    };
    let session = prepared?;
    let terminal = Terminal::new(session.name().clone(), screen.clone());
    let mut status = Status::new(settings(project, options), milliseconds());
    let mut inputs = Inputs {
        keys: &mut person.keys,
        behind: BackgroundBuild::of(project),
        events,
        sender,
    };
    let result = develop(
        project,
        finding,
        &session,
        &mut status,
        &mut inputs,
        (&mut person.signals, &mut person.pages),
        (&terminal, screen.clone(), person.events.as_ref()),
    );
    let result = result.await;
    let ending = result.as_ref().ok().map(|ended| ended.ending);
    let mut events = inputs.events;
    match ending {
        Some(Ending::Reopened) => {
            if let Some(pages) = &person.pages {
                pages.leave();
            }
        }
        Some(Ending::Detached) => {
            person.end_pages(ended_words(session.name())).await;
            terminal.show(&Notice::Detached);
            session.detach();
            return result;
        }
        Some(Ending::Stopped | Ending::Failed) => {
            person.end_pages(ended_words(session.name())).await;
            terminal.show(&Notice::Stopping);
        }
        None => {}
    }
    let name = session.name().clone();
    let views = (&terminal, person.events.as_ref());
    let closed = close(
        session,
        &mut status,
        views,
        &mut events,
        &mut person.signals,
    )
    .await;
    let ended = match (result, closed) {
        (Ok(ended), closed) => closed.map(|()| ended)?,
        (Err(error), Ok(())) => return Err(error),
        // The first error is the one to mend.
        (Err(error), Err(second)) => {
            return Err(error.context(format!(
                "and what was begun could not be taken back: {second:#}"
            )));
        }
    };
    if ended.ending == Ending::Reopened && person.signals.has_stopped() {
        terminal.show(&Notice::Stopping);
        person.end_pages(ended_words(&name)).await;
        return Ok(Ended::stopped());
    }
    Ok(ended)
}

/// What commands that wait are told when nothing follows.
fn ended_words(name: &AppName) -> String {
    format!("the `portkeep dev` of {name} has ended; start it again with `portkeep dev`")
}

fn settings(project: &Project, options: &Options) -> Settings {
    Settings {
        checks: project.spec.checks.iter().map(check_line).collect(),
        detaches: options.detaches,
        opens: options.opens,
        builds_on_key: options.builds_on_key,
        requests_wait: project.while_building == WhileBuilding::Hold,
        lock_file: match project.build {
            BuildCommand::Cargo(_) => Some(project.root.join("Cargo.lock")),
            _ => None,
        },
        directory: project.directory.clone(),
        parts: project.parts(),
        builds_nothing: project.build == BuildCommand::None,
        here: std::env::current_dir().unwrap_or_default(),
    }
}

async fn develop(
    project: &Arc<Project>,
    finding: &Finding,
    session: &Session,
    status: &mut Status,
    inputs: &mut Inputs<'_>,
    (signals, pages): (&mut Signals, &mut Option<Pages>),
    (terminal, screen, events): (&Terminal, Arc<dyn Screen>, Option<&Events>),
) -> anyhow::Result<Ended> {
    let Ok(begun) = signals.unless_stopped(session.begin()).await else {
        return Ok(Ended::stopped());
    };
    begun?;
    let options = &finding.options;
    let spec = session.spec();
    let pages = listen_for_pages(pages, project, options, session, status, inputs)?;
    let own_files: Vec<_> = events
        .map(|events| events.path().to_owned())
        .into_iter()
        .collect();
    let watch = watch(project, session, options.polls, own_files);
    let Ok(watch) = signals.unless_stopped(watch).await else {
        return Ok(Ended::stopped());
    };
    let mut watch = watch?;
    let holder = session.who_holds();
    // `--listen` is taken literally; and an app that goes on without this process would lose the other address.
    let needs_other_loopback = holder.is_some() && options.listen.is_empty() && !options.detaches;
    let (_twins, of_twins) = match needs_other_loopback {
        true => OtherLoopback::open(&spec.listen),
        false => Default::default(),
    };
    let opened = Opened {
        notices: [session.notices().to_vec(), of_twins, watch.take_notices()].concat(),
        addresses: match holder {
            Some(_) => spec.listen.iter().map(url).collect(),
            None => Vec::new(),
        },
        holder: holder.unwrap_or_default(),
        has_keys: inputs.keys.are_heard(),
        begins_with_dev: inputs.behind.is_due(),
    };
    let views = Views {
        terminal,
        pages,
        screen,
        events,
    };
    let main_loop = MainLoop::new(
        project,
        session,
        status,
        views,
        inputs,
        watch,
        finding.clone(),
    );
    Ok(main_loop.run(Event::Opened(opened), signals).await)
}

/// Answers pages and commands that wait about this session from now on.
fn listen_for_pages<'a>(
    pages: &'a mut Option<Pages>,
    project: &Project,
    options: &Options,
    session: &Session,
    status: &Status,
    inputs: &Inputs<'_>,
) -> anyhow::Result<&'a Pages> {
    let spec = session.spec();
    let path = pages::socket_path(session.store().run_directory());
    let settings = pages::Settings {
        app: spec.name.to_string(),
        directory: project.directory.clone(),
        editor: options.editor.clone(),
        root: project.root.clone(),
        hold: options.hold_at_most,
        addresses: pages::addresses(&spec.listen),
    };
    let (page, events) = (status.page().clone(), inputs.sender.clone());
    match pages.take() {
        Some(mut before) => {
            let went_on = before.go_on(path, settings, page, events);
            let before = pages.insert(before);
            went_on.map(|()| &*before)
        }
        None => Ok(pages.insert(Pages::listen(path, settings, page, events)?)),
    }
}

/// Looks at the sources beside this task: there may be many.
async fn watch(
    project: &Arc<Project>,
    session: &Session,
    polls: bool,
    own_files: Vec<PathBuf>,
) -> anyhow::Result<Watch> {
    let (project, store) = (project.clone(), session.store().clone());
    let looked_at = move || Watch::of_project(&project, &store, polls, &own_files);
    spawn_blocking(looked_at)
        .await
        .context("the sources cannot be watched")?
}

/// Ends the session, and shows its reports meanwhile.
async fn close(
    session: Session,
    status: &mut Status,
    (terminal, events_file): (&Terminal, Option<&Events>),
    events: &mut mpsc::UnboundedReceiver<Event>,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let now = Now {
        serves: None,
        ..now(&session)
    };
    let mut show = |event| {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in status.apply(event, &now) {
                match effect {
                    Effect::Tell(notice) => {
                        terminal.show(&notice);
                        if let Some(file) = events_file {
                            file.tell(&notice);
                        }
                    }
                    Effect::Take(unread) => events.extend(taken(&unread)),
                    // Nothing new is begun.
                    _ => {}
                }
            }
        }
    };
    let mut closing = std::pin::pin!(session.close(signals));
    let result = loop {
        tokio::select! {
            result = &mut closing => break result,
            Some(event) = events.recv() => show(event),
        }
    };
    while let Ok(event) = events.try_recv() {
        show(event);
    }
    result
}
