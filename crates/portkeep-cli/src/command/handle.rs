use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Subcommand;
use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::handover::{HandoverId, Purpose};
use portkeep_engine::{Generation, Moment};
use portkeep_spec::{AppName, contract, unit_names};

mod activate;
mod deploy;
mod hold;
mod installed;
mod reload;
mod retry;
mod secrets;
mod serves;
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
    /// What a path unit triggers: hand over if what is in a secret changed.
    Secrets(App),
    /// After that: look whether one changed meanwhile.
    SecretsRecheck(App),
    /// After a generation failed: settle its end.
    Settle(One),
    /// After a generation ended in good order: settle its end.
    Ended(One),
    /// The holding page: answers that nothing can serve.
    Hold(Page),
    /// Beside a holding page: wait for a release that can serve.
    Retry(App),
    /// At the end of a switch: fails where what is installed does not serve.
    Serves(App),
}

#[derive(Debug, clap::Args)]
struct App {
    name: AppName,
    #[arg(long)]
    spec: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Page {
    name: AppName,
    /// The names of the passed sockets that speak HTTP.
    #[arg(required = true)]
    sockets: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct One {
    name: AppName,
    /// The number of a generation, or `holding`.
    instance: Instance,
    #[arg(long)]
    spec: PathBuf,
}

/// What stands behind the "@" of a settle unit.
#[derive(Debug, Clone, Copy)]
enum Instance {
    Number(Generation),
    HoldingPage,
}

impl FromStr for Instance {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == contract::HOLDING {
            return Ok(Self::HoldingPage);
        }
        text.parse().map(Generation).map(Self::Number)
    }
}

/// The identity of the handover that the handle's job asks for; where it has none, one of its own.
///
/// It is told at once: the journal asks whose a line is when it reads it, and would find nobody where all that we say is said
/// before we end.
async fn begin(systemd: &Systemd, name: &AppName, purpose: Purpose) -> HandoverId {
    let handle = systemd
        .manager()
        .state_as_unit(&unit_names::handle(name))
        .await;
    let job = handle.ok().and_then(|state| state.job);
    let id = job.map_or_else(HandoverId::unique, HandoverId::of_job);
    crate::output::outln!("{name}: handover {id} ({purpose})");
    id
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
            Step::Secrets(app) => secrets::run(&app.name, &app.spec, asked).await,
            Step::SecretsRecheck(app) => secrets::recheck(&app.name, &app.spec).await,
            Step::Settle(one) => settle::run(&one, settle::Hook::Failure).await,
            Step::Ended(one) => settle::run(&one, settle::Hook::Success).await,
            Step::Hold(page) => hold::run(page.name.as_str(), page.sockets).await,
            Step::Retry(app) => retry::run(&app.name, &app.spec).await,
            Step::Serves(app) => serves::run(&app.name, &app.spec).await,
        }
    }
}
