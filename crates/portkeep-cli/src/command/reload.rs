use std::process::ExitCode;

use anyhow::anyhow;
use portkeep_engine::handover::Unchanged;
use portkeep_engine::helper::{Helper, HelperError, Preview};
use portkeep_engine::{Moment, Outcome};
use portkeep_spec::{AppName, Manager as Which};

use crate::control::{self, Answer, Ask};
use crate::exit::{self, usage};
use crate::locate::{self, ManagerArgs};
use crate::output::{self, HandoverReport, outcome_line};

/// Hand over to the newest build
///
/// The new generation takes over when it is READY; if it does not become READY, the current one serves on and the exit code
/// is 1. The same as `systemctl reload NAME`, with the reason of a failure in the terminal.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep reload hello\n  portkeep reload hello --force      also when nothing changed\n  portkeep reload hello --dry-run    whether there is anything to hand over to"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Start a new generation even if the release did not change.
    #[arg(long)]
    force: bool,
    /// Say whether there is a new release to hand over to, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: `changed` says whether another generation is current than before.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.manager.named().is_none() && control::is_served(&self.name) {
            only_of_units(&self.name, self.json || self.dry_run)?;
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
        if self.dry_run {
            let preview = helper.preview(unchanged).await;
            return print_preview(name, which, preview, self.json);
        }
        let outcome = helper.reload_by_name(unchanged, asked).await;
        print(name, which, outcome, self.json)
    }
}

/// Refuses an option that `portkeep dev` does not know.
pub(super) fn only_of_units(name: &AppName, is_asked: bool) -> anyhow::Result<()> {
    match is_asked {
        false => Ok(()),
        true => Err(usage(format!(
            "`portkeep dev` runs {name}, and has no --json or --dry-run; add --system or --user to speak of its units"
        ))),
    }
}

/// Prints the result of a requested handover, and returns the exit code.
pub(super) fn print(
    name: &AppName,
    which: Which,
    outcome: Result<Outcome, HelperError>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match outcome {
        Ok(outcome) => {
            match as_json {
                true => output::json(&HandoverReport::of(name, &outcome))?,
                false => output::outln!("{}", outcome_line(name, &outcome)),
            }
            Ok(ExitCode::from(exit::code_of(&outcome)))
        }
        Err(error) => Err(told(name, which, error, as_json)?),
    }
}

fn print_preview(
    name: &AppName,
    which: Which,
    preview: Result<Preview, HelperError>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let preview = match preview {
        Ok(preview) => preview,
        Err(error) => return Err(told(name, which, error, as_json)?),
    };
    match (as_json, preview) {
        (true, preview) => output::json(&HandoverReport::expected(name, preview))?,
        (false, Preview::HandsOver) => output::outln!("{name}: would hand over"),
        (false, Preview::Unchanged(current)) => {
            output::outln!("{name}: unchanged, generation {current} would serve on");
        }
        (false, Preview::InMaintenance) => output::outln!(
            "{name}: in maintenance, and would stay so; `portkeep maintenance {name} off` ends it"
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// The error for the user; the JSON has it, too.
fn told(
    name: &AppName,
    which: Which,
    error: HelperError,
    as_json: bool,
) -> anyhow::Result<anyhow::Error> {
    if as_json {
        output::json(&HandoverReport::failed(name, error.with_causes()))?;
    }
    Ok(match error {
        HelperError::NotInstalled(name) => not_installed(&name, which),
        error => error.into(),
    })
}

/// Asks the `portkeep dev` that runs the app itself.
pub(super) fn ask_dev(name: &AppName, ask: &Ask) -> anyhow::Result<ExitCode> {
    match control::ask(name, ask)? {
        Answer::Done { line, code } => {
            output::outln!("{line}");
            Ok(ExitCode::from(code))
        }
        Answer::Failed(reason) => Err(anyhow!(reason)),
        Answer::Running(_) => Err(anyhow!(
            "`portkeep dev` gave an unexpected answer; it may be of another version: restart it"
        )),
    }
}

/// The error for an app that has no units.
pub(crate) fn not_installed(name: &AppName, which: Which) -> anyhow::Error {
    let other = match which {
        Which::System => "--user",
        Which::User => "--system",
    };
    usage(format!(
        "the {which} manager has no app `{name}`; `portkeep install` places its units, `{other}` asks the other manager"
    ))
}
