use std::process::ExitCode;

use anyhow::{Context, anyhow};
use portkeep_engine::backend::systemd::{JobResult, Systemd};
use portkeep_engine::handover::{Purpose, Unchanged};
use portkeep_engine::store::HandoverRecord;
use portkeep_engine::{Moment, Outcome, Request, hand_over};
use portkeep_spec::{AppName, Manager as Which, unit_names};

use crate::control::{self, Answer, Ask};
use crate::exit::{FELL_BACK, usage};
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
            return self.ask_dev();
        }
        self.reload_units().await
    }

    fn ask_dev(&self) -> anyhow::Result<ExitCode> {
        match control::ask(&self.name, &Ask::Reload { force: self.force })? {
            Answer::Done { line, fell_back } => {
                anstream::println!("{line}");
                Ok(code(fell_back))
            }
            Answer::Failed(reason) => Err(anyhow!(reason)),
            Answer::Running(_) => Err(anyhow!("`portkeep dev` gave an answer of another kind")),
        }
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
        if !state.is_active() {
            let outcome = reload_handle(&systemd, &handle).await?;
            anstream::println!("{}", outcome_line(name, &outcome));
            return Ok(code(outcome.fell_back()));
        }
        let path = systemd.store().spec_path().with_context(|| {
            format!("{name} was never started since the boot; `systemctl restart {handle}` does it")
        })?;
        let spec = locate::read_spec(&path)?;
        let unchanged = if self.force {
            Unchanged::IsStarted
        } else {
            Unchanged::IsDone
        };
        let request = Request {
            purpose: Purpose::Reload,
            unchanged,
            asked,
        };
        let outcome = hand_over(&systemd, systemd.store(), &spec, request).await?;
        anstream::println!("{}", outcome_line(name, &outcome));
        Ok(code(outcome.fell_back()))
    }
}

fn code(fell_back: bool) -> ExitCode {
    if fell_back {
        ExitCode::from(FELL_BACK)
    } else {
        ExitCode::SUCCESS
    }
}

/// Starts the handle, or reloads it where it runs; its helper hands over. Tells what came of it.
pub(crate) async fn reload_handle(systemd: &Systemd, handle: &str) -> anyhow::Result<Outcome> {
    let before = last_record(systemd);
    let job = systemd.manager().reload_or_restart(handle).await?;
    let new = last_record(systemd).filter(|last| before.as_ref() != Some(last));
    match (job, new) {
        (JobResult::Done, Some(record)) => Ok(Outcome::HandedOver(record)),
        (JobResult::Done, None) => {
            let current = systemd.store().current();
            Ok(Outcome::Unchanged(current.context(
                "the handle is up, but no generation is current",
            )?))
        }
        (job, new) => Err(start_failed(
            handle,
            &job,
            new.and_then(|record| record.reason),
        )),
    }
}

fn last_record(systemd: &Systemd) -> Option<HandoverRecord> {
    systemd.store().history().ok()?.into_iter().next_back()
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
