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
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

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
    loop {
        let ended = session(&project, &finding, &screen, &mut person).await?;
        let Ended {
            ending,
            reopened,
            learned,
        } = ended;
        match (ending, reopened) {
            // While one session is closed for the next, a signal is heard as well.
            (Ending::Reopened, Some(other)) if !person.signals.has_stopped() => project = other,
            (Ending::Failed, _) => return Ok(ExitCode::FAILURE),
            _ => return Ok(ExitCode::SUCCESS),
        }
        finding.learned = learned;
    }
}

/// Signals, keys, input and the event file, which outlive a session.
struct Person {
    signals: Signals,
    keys: Keys,
    /// Input for the app.
    feed: Option<InputRelay>,
    events: Option<Events>,
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
            false => Keys::listen(ends_us),
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
        })
    }
}

/// One session with a project, until it ends or another one has to begin.
async fn session(
    project: &Project,
    finding: &Finding,
    screen: &Arc<dyn Screen>,
    person: &mut Person,
) -> anyhow::Result<Ended> {
    let (sender, events) = mpsc::unbounded_channel();
    let (options, host) = (&finding.options, finding.host.clone());
    let channel = (sender.clone(), person.feed.clone());
    let session = Session::open(project, options, host, channel).await?;
    let terminal = Terminal::new(session.name().clone(), screen.clone());
    let mut status = Status::new(settings(project, options), milliseconds());
    let mut inputs = Inputs {
        signals: &mut person.signals,
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
        (&terminal, screen.clone(), person.events.as_ref()),
    );
    let result = result.await;
    let ending = result.as_ref().map(|ended| ended.ending);
    if matches!(ending, Ok(Ending::Detached)) {
        terminal.show(&Notice::Detached);
        session.detach();
        return result;
    }
    if !matches!(ending, Ok(Ending::Reopened)) {
        terminal.show(&Notice::Stopping);
    }
    inputs.behind.stop().await;
    let views = (&terminal, person.events.as_ref());
    close(session, &mut status, views, &mut inputs).await?;
    if matches!(ending, Ok(Ending::Reopened)) && person.signals.has_stopped() {
        terminal.show(&Notice::Stopping);
    }
    result
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
    project: &Project,
    finding: &Finding,
    session: &Session,
    status: &mut Status,
    inputs: &mut Inputs<'_>,
    (terminal, screen, events): (&Terminal, Arc<dyn Screen>, Option<&Events>),
) -> anyhow::Result<Ended> {
    let options = &finding.options;
    let spec = session.spec();
    let pages = Pages::listen(
        pages::socket_path(session.store().run_directory()),
        pages::Settings {
            app: spec.name.to_string(),
            directory: project.directory.clone(),
            editor: options.editor.clone(),
            root: project.root.clone(),
            hold: options.hold_at_most,
            addresses: pages::addresses(&spec.listen),
        },
        status.page().clone(),
        inputs.sender.clone(),
    )?;
    let own_files: Vec<_> = events
        .map(|events| events.path().to_owned())
        .into_iter()
        .collect();
    let mut watch = Watch::of_project(project, session.store(), options.polls, &own_files)?;
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
        pages: &pages,
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
    Ok(main_loop.run(Event::Opened(opened)).await)
}

/// Ends the session, and shows its reports meanwhile.
async fn close(
    session: Session,
    status: &mut Status,
    (terminal, events_file): (&Terminal, Option<&Events>),
    inputs: &mut Inputs<'_>,
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
    let mut closing = std::pin::pin!(session.close(inputs.signals));
    let result = loop {
        tokio::select! {
            result = &mut closing => break result,
            Some(event) = inputs.events.recv() => show(event),
        }
    };
    while let Ok(event) = inputs.events.try_recv() {
        show(event);
    }
    result
}
