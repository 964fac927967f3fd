use std::process::ExitCode;

use portkeep_engine::backend::systemd::Depth;
use portkeep_engine::diagnosis::{self, Level};
use portkeep_spec::AppName;

mod report;

use crate::exit::NEEDS_A_PERSON;
use crate::facts;
use crate::locate::{ManagerArgs, installed_apps};
use crate::output;
use report::{Diagnosis, Line};

/// Check the machine and each app, and suggest remedies
///
/// Nothing is changed. A problem prevents an app from serving or from being reloaded, or will do so; advice does not. Lines
/// that begin with `$` are commands that mend it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep doctor\n  portkeep doctor --user hello\n  portkeep doctor --json     manager, checked, findings: level, app, code, what, remedy, commands\n\nExit code 4: something needs a person. Advice alone is exit code 0."
)]
pub(crate) struct Args {
    /// The app [default: all].
    name: Option<AppName>,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Print JSON.
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
        let (machine, manager) = facts::machine(which).await;
        let mut apps = Vec::new();
        if let Some(manager) = &manager {
            for app in facts::apps(manager, &names, Depth::Full).await? {
                apps.push(facts::app(manager, app, Depth::Full).await?);
            }
        }
        let mut findings = diagnosis::of_machine(&machine, &apps);
        findings.extend(apps.into_iter().flat_map(diagnosis::of_app));
        let report = Diagnosis {
            manager: which.to_string(),
            version: machine.version.ok(),
            checked: names,
            findings: findings.iter().map(Line::from).collect(),
        };
        if self.json {
            output::json(&report)?;
        } else {
            report.print();
        }
        let is_problem = |finding: &diagnosis::Finding| finding.level() == Level::Problem;
        Ok(if findings.iter().any(is_problem) {
            ExitCode::from(NEEDS_A_PERSON)
        } else {
            ExitCode::SUCCESS
        })
    }
}
