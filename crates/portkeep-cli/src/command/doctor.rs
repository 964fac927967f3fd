use std::process::ExitCode;

use portkeep_spec::AppName;

mod app_checks;
mod collect;
mod facts;
mod finding;
mod machine_checks;

use crate::exit::NEEDS_A_PERSON;
use crate::locate::{ManagerArgs, installed_apps};
use crate::output;
use finding::{Diagnosis, Level};

/// Check the machine and each app, and say what to do about what is wrong
///
/// Nothing is changed. A problem keeps an app from serving or from being reloaded, or will; advice does not.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep doctor\n  portkeep doctor --user hello\n  portkeep doctor --json     manager, checked, findings: level, app, code, what, remedy\n\nExit code 4: something needs a person. Advice alone is exit code 0."
)]
pub(crate) struct Args {
    /// The app [default: all].
    name: Option<AppName>,
    #[command(flatten)]
    manager: ManagerArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let which = self.manager.which();
        let names = match self.name {
            Some(name) => vec![name],
            None => installed_apps(which).await,
        };
        let (machine, manager) = collect::machine(which).await;
        let mut findings = Vec::new();
        let mut apps = Vec::new();
        if let Some(manager) = &manager {
            for name in &names {
                apps.push(collect::app(manager, name).await?);
            }
        }
        findings.extend(machine_checks::findings(&machine, &apps));
        for app in &apps {
            findings.extend(app_checks::findings(app));
        }
        let diagnosis = Diagnosis {
            manager: which.to_string(),
            version: machine.version.clone().ok(),
            checked: names,
            findings,
        };
        if self.json {
            output::json(&diagnosis)?;
        } else {
            diagnosis.print();
        }
        let has_problem = |diagnosis: &Diagnosis| {
            let mut findings = diagnosis.findings.iter();
            findings.any(|finding| finding.level == Level::Problem)
        };
        Ok(if has_problem(&diagnosis) {
            ExitCode::from(NEEDS_A_PERSON)
        } else {
            ExitCode::SUCCESS
        })
    }
}
