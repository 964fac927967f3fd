use std::process::ExitCode;

use anyhow::anyhow;
use portkeep_engine::handover::Unchanged;
use portkeep_engine::helper::{Helper, HelperError};
use portkeep_engine::{Moment, Outcome};
use portkeep_spec::{AppName, Manager as Which};

use crate::control::{self, Answer, Ask};
use crate::exit::{self, usage};
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
        let (name, which, asked) = (&self.name, self.manager.which(), Moment::now());
        let unchanged = match self.force {
            true => Unchanged::IsStarted,
            false => Unchanged::IsDone,
        };
        let systemd = locate::systemd(which, name).await?;
        // What there is to tell is the outcome.
        let helper = Helper::new(&systemd, systemd.store(), |_| {});
        let outcome = helper.reload_by_name(unchanged, asked).await;
        print(name, which, outcome)
    }
}

/// Prints what a handover that a person asked for came to, and answers the exit code.
pub(super) fn print(
    name: &AppName,
    which: Which,
    outcome: Result<Outcome, HelperError>,
) -> anyhow::Result<ExitCode> {
    match outcome {
        Ok(outcome) => {
            crate::output::outln!("{}", outcome_line(name, &outcome));
            Ok(ExitCode::from(exit::code_of(&outcome)))
        }
        Err(HelperError::NotInstalled(name)) => Err(not_installed(&name, which)),
        Err(error) => Err(error.into()),
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
