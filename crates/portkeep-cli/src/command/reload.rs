use std::process::ExitCode;

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use portkeep_engine::backend::systemd::JobResult;
use portkeep_engine::handover::{Purpose, Unchanged};
use portkeep_engine::{Outcome, Request, hand_over};
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
            Answer::Done(line) => {
                anstream::println!("{line}");
                Ok(ExitCode::SUCCESS)
            }
            Answer::Failed(reason) => Err(anyhow!(reason)),
            Answer::Running(_) => Err(anyhow!("`portkeep dev` gave an answer of another kind")),
        }
    }

    async fn reload_units(&self) -> anyhow::Result<ExitCode> {
        let (name, which) = (&self.name, self.manager.which());
        let asked = Timestamp::now();
        let systemd = locate::systemd(which, name).await?;
        let handle = unit_names::handle(name);
        let state = systemd.manager().state(&handle).await?;
        if state.load != "loaded" {
            return Err(not_installed(name, which));
        }
        if !state.is_active() {
            return match systemd.manager().start(&handle).await? {
                JobResult::Done => {
                    anstream::println!("{name}: was not running, and is started");
                    Ok(ExitCode::SUCCESS)
                }
                other => Err(start_failed(&systemd, &handle, &other)),
            };
        }
        let path = systemd
            .store()
            .spec_path()
            .with_context(|| format!("no spec is noted for {name}"))?;
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
        let fell_back = matches!(&outcome, Outcome::HandedOver(record) if record.reason.is_some());
        Ok(if fell_back {
            ExitCode::from(FELL_BACK)
        } else {
            ExitCode::SUCCESS
        })
    }
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

/// The reason of a handle that did not start, which its helper left in the history.
pub(crate) fn start_failed(
    systemd: &portkeep_engine::backend::systemd::Systemd,
    handle: &str,
    job: &JobResult,
) -> anyhow::Error {
    let last = systemd
        .store()
        .history()
        .ok()
        .and_then(|history| history.into_iter().next_back());
    match last.and_then(|record| record.reason) {
        Some(reason) => anyhow!("the start of {handle} ended with `{job}`: {reason}"),
        None => {
            anyhow!("the start of {handle} ended with `{job}`; see `systemctl status {handle}`")
        }
    }
}
