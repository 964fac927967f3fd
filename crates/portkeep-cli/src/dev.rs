//! `portkeep dev`: hold the port, build, hand over, watch, again.

mod build;
mod environment;
mod listen;
mod lock;
mod project;
mod report;
mod session;
mod sources;
mod terminal;

use std::process::ExitCode;

use tokio::sync::mpsc;

use crate::command::dev::Args;
use build::{Build, Built};
use project::Project;
use report::Report;
use session::Session;
use sources::Sources;
use terminal::Signals;

/// What wakes the loop.
enum Wake {
    /// Sources changed.
    Changed(String),
    /// The session has something to say or to do.
    Session(Box<session::Event>),
    /// The user wants to stop.
    Stop,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find(&args)?;
    let (events, mut from_session) = mpsc::unbounded_channel();
    // Before anything is started, so that Ctrl-C always finds somebody who cleans up.
    let mut signals = Signals::listen()?;
    let session = Session::open(&project, &args, events).await?;
    let report = Report::new(session.name().clone());
    report.opened(&session);
    let result = work(
        &project,
        &args,
        &session,
        &report,
        &mut signals,
        &mut from_session,
    )
    .await;
    if matches!(result, Ok(Ending::Detached)) {
        report.line(
            "detached; `portkeep status --user` shows it, `portkeep uninstall --user {}` ends it",
        );
        session.detach();
        return Ok(ExitCode::SUCCESS);
    }
    report.line("stopping");
    session
        .close(&report, &mut signals, &mut from_session)
        .await?;
    match result? {
        Ending::Failed => Ok(ExitCode::FAILURE),
        Ending::Stopped | Ending::Detached => Ok(ExitCode::SUCCESS),
    }
}

/// Why the loop ended.
enum Ending {
    /// The user wants it.
    Stopped,
    /// It serves, and is to go on without us.
    Detached,
    /// It was to go on without us, but does not serve.
    Failed,
}

async fn work(
    project: &Project,
    args: &Args,
    session: &Session,
    report: &Report,
    signals: &mut Signals,
    from_session: &mut mpsc::UnboundedReceiver<session::Event>,
) -> anyhow::Result<Ending> {
    let mut sources = Sources::watch(project)?;
    let mut reason: Option<String> = None;
    loop {
        report.building(reason.take().as_deref());
        let mut build = Build::start(project)?;
        // The last good version serves all the while; a change starts the build over.
        let built = loop {
            tokio::select! {
                built = build.finish() => break Some(built?),
                wake = next(signals, &mut sources, from_session) => match wake {
                    Wake::Stop => {
                        build.cancel().await;
                        return Ok(Ending::Stopped);
                    }
                    Wake::Session(event) => session.on_event(*event, report),
                    Wake::Changed(path) => {
                        build.cancel().await;
                        reason = Some(path);
                        break None;
                    }
                },
            }
        };
        match built {
            None => continue,
            Some(Built::Good { executable, took }) => {
                report.built(took);
                let served = hand_over(session, executable, report, signals, from_session).await?;
                match served {
                    Served::Stopped => return Ok(Ending::Stopped),
                    Served::Yes if args.detach => return Ok(Ending::Detached),
                    Served::No if args.detach => return Ok(Ending::Failed),
                    Served::Yes | Served::No => {}
                }
            }
            Some(Built::Bad { took }) => {
                report.build_failed(took, session.serves());
                if args.detach {
                    return Ok(Ending::Failed);
                }
            }
        }
        loop {
            match next(signals, &mut sources, from_session).await {
                Wake::Stop => return Ok(Ending::Stopped),
                Wake::Session(event) => session.on_event(*event, report),
                Wake::Changed(path) => {
                    reason = Some(path);
                    break;
                }
            }
        }
    }
}

enum Served {
    Yes,
    No,
    Stopped,
}

/// Publishes what was built and hands over, while the app's lines go on being shown.
async fn hand_over(
    session: &Session,
    executable: Option<std::path::PathBuf>,
    report: &Report,
    signals: &mut Signals,
    from_session: &mut mpsc::UnboundedReceiver<session::Event>,
) -> anyhow::Result<Served> {
    let mut handover = session.hand_over(executable)?;
    loop {
        tokio::select! {
            result = &mut handover => {
                return Ok(if report.handed_over(&result) { Served::Yes } else { Served::No });
            }
            Some(event) = from_session.recv() => session.on_event(event, report),
            () = signals.stop() => return Ok(Served::Stopped),
        }
    }
}

async fn next(
    signals: &mut Signals,
    sources: &mut Sources,
    from_session: &mut mpsc::UnboundedReceiver<session::Event>,
) -> Wake {
    tokio::select! {
        () = signals.stop() => Wake::Stop,
        Some(event) = from_session.recv() => Wake::Session(Box::new(event)),
        path = sources.changed() => Wake::Changed(path),
    }
}
