//! `portkeep dev`: hold the port, build, check, hand over, watch, again.

mod behind;
mod browser;
mod build;
mod checking;
mod direct;
mod environment;
mod group;
mod inputs;
mod keys;
mod last_words;
mod listen;
mod lock;
mod open_browser;
mod own_output;
mod process;
mod project;
mod relevance;
mod report;
mod restless;
mod session;
mod sources;
mod tee;
mod terminal;
mod work;

use std::process::ExitCode;

use tokio::sync::mpsc;

use crate::command::dev::Args;
use behind::Behind;
use browser::Browser;
pub(crate) use direct::wrap_rustc;
use inputs::Inputs;
use keys::Keys;
use project::Project;
use report::Report;
use session::Session;
use sources::Sources;
use terminal::Signals;
use work::{Ending, Work};

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find(&args)?;
    let (events, from_session) = mpsc::unbounded_channel();
    // Before anything is started, so that Ctrl-C always finds somebody who cleans up.
    let signals = Signals::listen()?;
    let session = Session::open(&project, &args, events.clone()).await?;
    let report = Report::new(session.name().clone());
    report.opened(&session);
    let mut inputs = Inputs {
        signals,
        keys: Keys::listen(),
        behind: Behind::of(&project),
        from_session,
        to_session: events.clone(),
    };
    let result = work(&project, &args, &session, &report, &mut inputs, events).await;
    if matches!(result, Ok(Ending::Detached)) {
        report.line(format!(
            "detached; `portkeep status --user` shows it, `portkeep uninstall --user {}` ends it",
            session.name()
        ));
        session.detach();
        return Ok(ExitCode::SUCCESS);
    }
    report.line("stopping");
    inputs.behind.stop().await;
    session
        .close(&report, &mut inputs.signals, &mut inputs.from_session)
        .await?;
    match result? {
        Ending::Failed => Ok(ExitCode::FAILURE),
        Ending::Stopped | Ending::Detached => Ok(ExitCode::SUCCESS),
    }
}

async fn work(
    project: &Project,
    args: &Args,
    session: &Session,
    report: &Report,
    inputs: &mut Inputs,
    notes: mpsc::UnboundedSender<session::Event>,
) -> anyhow::Result<Ending> {
    let browser = Browser::listen(
        browser::socket_path(session.store().run_directory()),
        browser::Settings {
            editor: args.editor.template(),
            root: project.root.clone(),
            hold: *args.hold_at_most,
            addresses: browser::addresses(&session.spec().listen),
        },
        notes,
    )?;
    let sources = Sources::watch(project, session.store())?;
    if inputs.keys.are_heard() {
        report.line(keys::HELP);
    }
    Work::new(project, args, session, report, &browser, sources, inputs)
        .run()
        .await
}
