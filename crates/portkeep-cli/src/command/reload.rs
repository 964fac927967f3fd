use std::process::ExitCode;

use anyhow::{Context, anyhow};
use portkeep_engine::backend::systemd::{JobResult, Systemd};
use portkeep_engine::handover::{HandoverId, Purpose, Unchanged};
use portkeep_engine::store::HandoverRecord;
use portkeep_engine::{Moment, Outcome, Request, hand_over};
use portkeep_spec::{AppName, Manager as Which, unit_names};

use crate::control::{self, Answer, Ask};
use crate::exit::{self, usage};
use crate::holding;
use crate::locate::{self, ManagerArgs};
use crate::output::outcome_line;

/// Hand over to the release that is there now
///
/// The new generation takes over when it is READY; if it does not get so, the current one serves on and the exit code
/// is 1. The same as `systemctl reload NAME`, with the reason of a failure in the terminal.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep reload hello\n  portkeep reload hello --force      also when nothing changed"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Start a new generation even if the release did not change.
    #[arg(long)]
    force: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.manager.named().is_none() && control::is_served(&self.name) {
            return ask_dev(&self.name, &Ask::Reload { force: self.force });
        }
        self.reload_units().await
    }

    async fn reload_units(&self) -> anyhow::Result<ExitCode> {
        let (name, which) = (&self.name, self.manager.which());
        let asked = Moment::now();
        let systemd = locate::systemd(which, name).await?;
        let handle = unit_names::handle(name);
        let state = systemd.manager().state(&handle).await?;
        if state.load != "loaded" {
            return Err(not_installed(name, which));
        }
        // Where the link was lost with the runtime directory, the unit knows where the spec is.
        let path = systemd.store().spec_path();
        let Some(path) = path.filter(|_| state.is_active()) else {
            let outcome = reload_handle(&systemd, &handle).await?;
            crate::output::outln!("{}", outcome_line(name, &outcome));
            return Ok(code(&outcome));
        };
        let spec = locate::read_spec(&path)?;
        let unchanged = if self.force {
            Unchanged::IsStarted
        } else {
            Unchanged::IsDone
        };
        let request = Request {
            unchanged,
            asked,
            ..Request::now(Purpose::Reload)
        };
        let request = request.or_hold(holding::page(&spec, systemd.store()));
        let outcome = hand_over(&systemd, systemd.store(), &spec, request).await?;
        crate::output::outln!("{}", outcome_line(name, &outcome));
        Ok(code(&outcome))
    }
}

/// Asks the `portkeep dev` that runs the app itself.
pub(super) fn ask_dev(name: &AppName, ask: &Ask) -> anyhow::Result<ExitCode> {
    match control::ask(name, ask)? {
        Answer::Done { line, code } => {
            crate::output::outln!("{line}");
            Ok(ExitCode::from(code))
        }
        Answer::Failed(reason) => Err(anyhow!(reason)),
        Answer::Running(_) => Err(anyhow!("`portkeep dev` gave an answer of another kind")),
    }
}

/// The exit code of a handover that did not fail.
pub(super) fn code(outcome: &Outcome) -> ExitCode {
    ExitCode::from(exit::code_of(outcome))
}

/// Starts the handle, or reloads it where it runs; its helper hands over. Tells what came of it.
pub(crate) async fn reload_handle(systemd: &Systemd, handle: &str) -> anyhow::Result<Outcome> {
    let (job, result) = systemd.manager().reload_or_restart(handle).await?;
    let record = job.and_then(|job| record_of(systemd, &HandoverId::of_job(job)));
    match (result, record) {
        (JobResult::Done, Some(record)) => Ok(Outcome::of(record)?),
        (JobResult::Done, None) => {
            let current = systemd.store().current();
            Ok(Outcome::Unchanged(current.context(
                "the handle is up, but no generation is current",
            )?))
        }
        (job, record) => Err(start_failed(
            handle,
            &job,
            record.and_then(|record| record.reason),
        )),
    }
}

/// What the history says of a handover.
fn record_of(systemd: &Systemd, id: &HandoverId) -> Option<HandoverRecord> {
    let history = systemd.store().history().ok()?;
    history.into_iter().rev().find(|record| record.id == *id)
}

/// What a user sees who names an app that has no units.
pub(crate) fn not_installed(name: &AppName, which: Which) -> anyhow::Error {
    let other = match which {
        Which::System => "--user",
        Which::User => "--system",
    };
    usage(format!(
        "the {which} manager has no app `{name}`; `portkeep install` places its units, `{other}` asks the other manager"
    ))
}

/// A handle whose job failed, with the reason that its helper left in the history.
fn start_failed(handle: &str, job: &JobResult, reason: Option<String>) -> anyhow::Error {
    match reason {
        Some(reason) => anyhow!("the job of {handle} ended with `{job}`: {reason}"),
        None => anyhow!("the job of {handle} ended with `{job}`; see `systemctl status {handle}`"),
    }
}
