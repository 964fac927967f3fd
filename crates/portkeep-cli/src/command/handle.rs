use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use portkeep_engine::backend::systemd::{Systemd, Units};
use portkeep_engine::handover::Purpose;
use portkeep_engine::helper::{self, EndOf, Helper, Hook, Word};
use portkeep_engine::metrics;
use portkeep_engine::{Moment, Outcome};
use portkeep_spec::{AppName, Manager as Which, Spec};

use crate::exit;
use crate::locate::{place, store, systemd};

mod health;
mod holding_page;
mod tell;

use tell::{does_not_serve, tell};

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
    /// For an app that does not answer its health sockets: answer there while somebody asks.
    Health { name: AppName },
    /// First at a shutdown of the machine: have load balancers told, and wait for the grace.
    Leave(App),
    /// What root starts as the owner of a directory: writes metrics there, from standard input.
    Textfile(Textfile),
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
struct Textfile {
    /// The name of the file.
    file: String,
    #[arg(long)]
    directory: PathBuf,
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
    instance: EndOf,
    #[arg(long)]
    spec: PathBuf,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let (which, asked) = (helper::own_manager(), Moment::now());
        match self.step {
            Step::Activate(app) => {
                let systemd = app.systemd(which).await?;
                app.helper(&systemd).activate(&app.spec, asked).await?;
            }
            Step::Reload(app) => {
                let systemd = app.systemd(which).await?;
                let helper = app.helper(&systemd);
                return Ok(code(
                    &helper.reload(&app.spec, Purpose::Reload, asked).await?,
                ));
            }
            Step::Deploy(app) => {
                let systemd = app.systemd(which).await?;
                let outcome = app.helper(&systemd).deploy(&app.spec, asked).await?;
                return Ok(outcome.as_ref().map_or(ExitCode::SUCCESS, code));
            }
            Step::Recheck(app) => {
                let systemd = app.systemd(which).await?;
                app.helper(&systemd).recheck(&app.spec).await?;
            }
            Step::Secrets(app) => {
                let systemd = app.systemd(which).await?;
                app.helper(&systemd).new_secrets(&app.spec, asked).await?;
            }
            Step::SecretsRecheck(app) => {
                let systemd = app.systemd(which).await?;
                app.helper(&systemd).recheck_secrets(&app.spec).await?;
            }
            Step::Settle(one) => one.settle(which, Hook::Failure).await?,
            Step::Ended(one) => one.settle(which, Hook::Success).await?,
            Step::Hold(page) => holding_page::run(page.sockets).await?,
            Step::Retry(app) => {
                let store = store(&app.name, place(which))?;
                helper::retry(&store, &app.spec, || app.systemd(which), &tell(&app.name)).await?;
            }
            Step::Health { name } => health::run(&name, which).await?,
            Step::Leave(app) => {
                let store = store(&app.name, place(which))?;
                let spec = Spec::load(&app.spec)?;
                helper::leave(which, &store, *spec.drain_grace).await?;
            }
            Step::Textfile(textfile) => {
                let text = std::io::read_to_string(std::io::stdin())?;
                metrics::write_as_owner(&textfile.directory, &textfile.file, &text)?;
            }
            Step::Serves(app) => {
                let systemd = app.systemd(which).await?;
                if let Some(instead) = app.helper(&systemd).serves_instead(&app.spec).await? {
                    return Err(does_not_serve(&app.name, &instead));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl App {
    async fn systemd(&self, which: Which) -> anyhow::Result<Systemd> {
        systemd(which, &self.name).await
    }

    fn helper<'a>(&'a self, systemd: &'a Systemd) -> Helper<'a, Systemd> {
        Helper::new(systemd, systemd.store(), tell(&self.name))
    }
}

impl One {
    async fn settle(&self, which: Which, hook: Hook) -> anyhow::Result<()> {
        let Some(word) = Word::of_environment() else {
            return Ok(());
        };
        let store = store(&self.name, place(which))?;
        let units = Units::of(which, store.clone());
        let (instance, tell) = (self.instance, tell(&self.name));
        helper::settle(&units, &store, instance, hook, word, &self.spec, &tell).await?;
        Ok(())
    }
}

/// systemd has no word for "fell back": the handle is up, and the journal says with which release.
fn code(outcome: &Outcome) -> ExitCode {
    match outcome {
        Outcome::Holding(_) | Outcome::InMaintenance(_) => exit::NEEDS_A_PERSON.into(),
        _ => ExitCode::SUCCESS,
    }
}
