//! The development loop behind `portkeep dev`: hold the port, build, check, hand over, watch, again.
//!
//! One loop hears what happens (`event`), has one model decide (`status`) and does what that says (`effect`). The
//! terminal and the pages are views of the model. Sessions run the app and tell what happens to it.

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
mod pages;
mod project;
mod queued;
mod runtime;
mod screen;
mod status;
mod streams;
mod terminal;
#[cfg(test)]
mod tests;
mod twin;
mod unread;
mod usage;
mod verdict;
mod watch;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use self::build::{Behind, check_line};
use self::effect::{Effect, Ending, Notice};
use self::event::{Event, Now, Opened};
use self::events::Events;
use self::main_loop::{Inputs, MainLoop, Views, milliseconds, now, taken};
use self::pages::Pages;
use self::project::{BuildCommand, Project, url};
use self::queued::Queued;
use self::runtime::Session;
use self::status::{Settings, Status};
use self::terminal::{Keys, Signals, Terminal};
use self::twin::Twins;
use self::watch::Watch;

pub use portkeep_contract::development::AllowedHost;

pub use self::attached::{Choice, wait};
pub use self::build::wrap_rustc;
pub use self::host::Host;
pub use self::options::{Backend, Input, Options, Port, WhileBuilding};
pub use self::screen::{Line, Piece, Screen};
pub use self::usage::Usage;
pub use self::verdict::{Diagnostic, Found, Severity, VERDICT_VERSION, Verdict};

/// How long a terminal may take for what is said last.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Develops a project until somebody ends it.
///
/// # Errors
/// When the project cannot be developed, or what was placed for it cannot be removed.
pub async fn run(
    options: Options,
    host: Arc<dyn Host>,
    screen: Arc<dyn Screen>,
) -> anyhow::Result<ExitCode> {
    let screen = Queued::before(screen);
    let result = run_on(&options, host, Arc::new(screen.clone())).await;
    screen.finish(LAST_WORDS);
    result
}

async fn run_on(
    options: &Options,
    host: Arc<dyn Host>,
    screen: Arc<dyn Screen>,
) -> anyhow::Result<ExitCode> {
    let project = Project::find(options, &*host)?;
    let (sender, events) = mpsc::unbounded_channel();
    // Before anything is started, so that Ctrl-C always finds somebody who cleans up.
    let signals = Signals::listen()?;
    let events_file = options
        .events
        .as_deref()
        .map(|path| Events::open(path, &project.spec.name, &project.directory, sender.clone()));
    let events_file = events_file.transpose()?;
    let keys = match options.input {
        Input {
            is_for_the_app: true,
            ..
        } => Keys::none(),
        Input { ends_us, .. } => Keys::listen(ends_us),
    };
    // Where keys are heard, they are what is read.
    let feed = match keys.are_heard() {
        true => None,
        false => input::read(std::io::stdin(), options.input, sender.clone()),
    };
    if options.builds_on_key && !keys.are_heard() {
        return Err(usage::usage(
            "--build-on-key: no keys are heard here; run it in a terminal, in the foreground",
        ));
    }
    let session = Session::open(&project, options, host, (sender.clone(), feed)).await?;
    let terminal = Terminal::new(session.name().clone(), screen.clone());
    let mut status = Status::new(settings(&project, options), milliseconds());
    let mut inputs = Inputs {
        signals,
        keys,
        behind: Behind::of(&project),
        events,
        sender,
    };
    let result = develop(
        &project,
        options,
        &session,
        &mut status,
        &mut inputs,
        (&terminal, screen, events_file.as_ref()),
    );
    let result = result.await;
    if matches!(result, Ok(Ending::Detached)) {
        terminal.show(&Notice::Detached);
        session.detach();
        return Ok(ExitCode::SUCCESS);
    }
    terminal.show(&Notice::Stopping);
    inputs.behind.stop().await;
    close(
        session,
        &mut status,
        (&terminal, events_file.as_ref()),
        inputs,
    )
    .await?;
    match result? {
        Ending::Failed => Ok(ExitCode::FAILURE),
        Ending::Stopped | Ending::Detached => Ok(ExitCode::SUCCESS),
    }
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
        here: std::env::current_dir().unwrap_or_default(),
    }
}

async fn develop(
    project: &Project,
    options: &Options,
    session: &Session,
    status: &mut Status,
    inputs: &mut Inputs,
    (terminal, screen, events): (&Terminal, Arc<dyn Screen>, Option<&Events>),
) -> anyhow::Result<Ending> {
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
    let watch = Watch::of_project(project, session.store(), &own_files)?;
    let holder = session.who_holds();
    // Whoever says where to listen means that; and what goes on without us would lose them.
    let needs_twins = holder.is_some() && options.listen.is_empty() && !options.detaches;
    let (_twins, of_twins) = match needs_twins {
        true => Twins::open(&spec.listen),
        false => Default::default(),
    };
    let opened = Opened {
        notices: [session.notices(), &of_twins].concat(),
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
    let main_loop = MainLoop::new(project, session, status, views, inputs, watch);
    Ok(main_loop.run(Event::Opened(opened)).await)
}

/// Ends the session, and shows what is told meanwhile.
async fn close(
    session: Session,
    status: &mut Status,
    (terminal, events_file): (&Terminal, Option<&Events>),
    mut inputs: Inputs,
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
                    // Nothing is begun any more.
                    _ => {}
                }
            }
        }
    };
    let mut closing = std::pin::pin!(session.close(&mut inputs.signals));
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
