use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use portkeep_engine::{Generation, Moment};
use portkeep_spec::AppName;

mod activate;
mod deploy;
mod hold;
mod reload;
mod retry;
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
    /// A generation that is no release of the app: answers that nothing can serve.
    Hold(Page),
    /// Beside a holding page: wait for a release that can serve.
    Retry(App),
}

#[derive(Debug, clap::Args)]
struct App {
    name: AppName,
    #[arg(long)]
    spec: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Page {
    /// The name of a passed socket that speaks HTTP.
    #[arg(long, required = true)]
    socket: Vec<String>,
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
        // The app's user is to get to what we make, whatever the sandbox of its unit says of our own files.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
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
            Step::Hold(page) => hold::run(page.socket).await,
            Step::Retry(app) => retry::run(&app.name, &app.spec).await,
        }
    }
}
