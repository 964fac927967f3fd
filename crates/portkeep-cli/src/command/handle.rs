use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use portkeep_engine::{Generation, Moment};
use portkeep_spec::AppName;

mod activate;
mod deploy;
mod reload;
mod settle;

/// What the units call; not for people
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// ExecStart= of the handle: start a generation.
    Activate(App),
    /// ExecReload= of the handle: hand over.
    Reload(App),
    /// What the path unit triggers: hand over if the output changed.
    Deploy(App),
    /// After a deploy: look whether the output changed meanwhile.
    Recheck(App),
    /// ExecStartPost= of a generation that cannot say when it is ready.
    Accepts(Process),
    /// ExecStopPost= of a generation.
    Settle(One),
}

#[derive(Debug, clap::Args)]
struct App {
    name: AppName,
    #[arg(long)]
    spec: PathBuf,
}

#[derive(Debug, clap::Args)]
struct One {
    name: AppName,
    generation: u64,
    #[arg(long)]
    spec: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Process {
    pid: u32,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let asked = Moment::now();
        match self.step {
            Step::Activate(app) => activate::run(&app.name, &app.spec, asked).await,
            Step::Reload(app) => reload::run(&app.name, &app.spec, asked).await,
            Step::Deploy(app) => deploy::run(&app.name, &app.spec, asked).await,
            Step::Recheck(app) => deploy::recheck(&app.name, &app.spec).await,
            Step::Accepts(process) => {
                portkeep_engine::accepts(process.pid).await;
                Ok(ExitCode::SUCCESS)
            }
            Step::Settle(one) => {
                settle::run(&one.name, Generation(one.generation), &one.spec).await
            }
        }
    }
}
