use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use portkeep_dev::{Choice, Found, Verdict};
use portkeep_spec::{AppName, Span};

use crate::output::{self, errln, outln};

/// Wait until the saved sources serve in a running `portkeep dev`
///
/// Everything that was saved before this command began is built, checked and started then, and answers the next request. If
/// that fails, this exits with 1 and shows the messages of the compiler, the check or the app. For scripts, editors and
/// agents.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep dev wait && curl -f http://127.0.0.1:8080/\n  portkeep dev wait --json --timeout 2m\n  portkeep dev wait --app hello"
)]
pub(super) struct Args {
    /// The project, or a directory in it.
    #[arg(long, value_name = "DIR", default_value = ".", conflicts_with = "app")]
    project: PathBuf,
    /// The app, if several are developed in one project.
    #[arg(long, value_name = "NAME")]
    app: Option<AppName>,
    /// Longest time to wait; then this exits with 1 [default: as long as it takes].
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let choice = match self.app {
            Some(name) => Choice::App(name),
            None => Choice::Project(self.project),
        };
        let limit: Option<Duration> = self.timeout.map(|limit| *limit);
        let verdict = portkeep_dev::wait(&choice, limit);
        if self.json {
            output::json(&verdict)?;
        } else {
            tell(&verdict);
        }
        Ok(match verdict.result {
            Found::Serves => ExitCode::SUCCESS,
            Found::Fails | Found::Late | Found::NotRunning => ExitCode::FAILURE,
        })
    }
}

fn tell(verdict: &Verdict) {
    let app = verdict.app.as_deref().unwrap_or_default();
    match (&verdict.reason, verdict.generation) {
        (None, Some(generation)) => {
            outln!("portkeep {app}: generation {generation} serves what is saved");
        }
        (None, None) => outln!("portkeep {app}: what is saved serves with the next connection"),
        (Some(reason), _) => {
            for diagnostic in &verdict.diagnostics {
                for line in diagnostic.text.lines() {
                    errln!("{line}");
                }
            }
            errln!("portkeep: {reason}");
        }
    }
}
