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
    Session(session::Event),
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
    if args.detach && result.is_ok() {
        report.line(
            "detached; `systemctl --user status` shows it, `portkeep uninstall --user` ends it",
        );
        session.detach();
        return result;
    }
    report.line("stopping");
    session
        .close(&report, &mut signals, &mut from_session)
        .await?;
    result
}

async fn work(
    project: &Project,
    args: &Args,
    session: &Session,
    report: &Report,
    signals: &mut Signals,
    from_session: &mut mpsc::UnboundedReceiver<session::Event>,
) -> anyhow::Result<ExitCode> {
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
                        return Ok(ExitCode::SUCCESS);
                    }
                    Wake::Session(event) => session.on_event(event, report).await,
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
                    Served::Stopped => return Ok(ExitCode::SUCCESS),
                    Served::Yes if args.detach => return Ok(ExitCode::SUCCESS),
                    Served::No if args.detach => return Ok(ExitCode::FAILURE),
                    Served::Yes | Served::No => {}
                }
            }
            Some(Built::Bad { took }) => {
                report.build_failed(took, session.serves());
                if args.detach {
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        loop {
            match next(signals, &mut sources, from_session).await {
                Wake::Stop => return Ok(ExitCode::SUCCESS),
                Wake::Session(event) => session.on_event(event, report).await,
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
    let mut later = Vec::new();
    let served = loop {
        tokio::select! {
            result = &mut handover => break report.handed_over(result),
            Some(event) = from_session.recv() => {
                if event.is_shown() {
                    report.session_event(&event);
                } else {
                    later.push(event);
                }
            }
            () = signals.stop() => return Ok(Served::Stopped),
        }
    };
    for event in later {
        session.on_event(event, report).await;
    }
    Ok(if served { Served::Yes } else { Served::No })
}

async fn next(
    signals: &mut Signals,
    sources: &mut Sources,
    from_session: &mut mpsc::UnboundedReceiver<session::Event>,
) -> Wake {
    tokio::select! {
        () = signals.stop() => Wake::Stop,
        Some(event) = from_session.recv() => Wake::Session(event),
        path = sources.changed() => Wake::Changed(path),
    }
}
