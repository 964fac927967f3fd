use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use portkeep_engine::backend::systemd::{Depth, Manager};
use portkeep_engine::{Place, Running, diagnosis};
use portkeep_spec::AppName;

mod app;
mod print;
mod wait;

use crate::control::{self, Answer, Ask};
use crate::facts::{self, App};
use crate::locate::{ManagerArgs, existing_store, installed_apps};
use crate::output;
use app::{AppStatus, GenerationStatus};

/// Show what runs: the current generation, draining ones, faults, the last handover
///
/// With --wait, it first waits until no old generation of the app, or of any app, drains: then all their requests are
/// answered, and no old code runs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep status            all apps\n  portkeep status hello\n  portkeep status hello --wait --timeout 1m     until no old generation drains\n  portkeep status --json     an array: name, backend, port, listen, sockets, current, generations, findings, lastHandover\n\nExit code 1: with --timeout, when an old generation drains at the end of that time. What is wrong with an app is told, and is no \
                  failure of this command: `portkeep doctor` has an exit code for it."
)]
pub(crate) struct Args {
    /// The app [default: all].
    name: Option<AppName>,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Wait until no old generation drains.
    #[arg(long)]
    wait: bool,
    /// How long to wait [default: as long as it takes].
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let local = self.local_names();
        let which = self.manager.which();
        let names = match &self.name {
            Some(name) if local.is_empty() => vec![name.clone()],
            Some(_) => Vec::new(),
            None => installed_apps(which).await,
        };
        let manager = match names.is_empty() {
            true => None,
            false => Some(Manager::connect(which).await?),
        };
        if self.wait {
            wait::until_drained(manager.as_ref(), &names, &local, self.timeout).await?;
        }
        let mut found = Vec::new();
        for name in &local {
            found.extend(local_app(name)?);
        }
        if let Some(manager) = &manager {
            found.extend(self.of_units(manager, &names).await?);
        }
        self.print(&found)?;
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, found: &[AppStatus]) -> anyhow::Result<()> {
        if self.json {
            return output::json(&found);
        }
        if found.is_empty() {
            crate::output::outln!(
                "No apps. `portkeep dev` runs the project in this directory; `portkeep install` places units."
            );
        }
        let (now, columns) = (jiff::Timestamp::now(), output::columns());
        for line in found.iter().flat_map(|app| print::lines(app, now, columns)) {
            crate::output::outln!("{line}");
        }
        Ok(())
    }

    /// The apps that a `portkeep dev` runs itself.
    fn local_names(&self) -> Vec<AppName> {
        if self.manager.named().is_some() {
            return Vec::new();
        }
        let names = match &self.name {
            Some(name) => vec![name.clone()],
            None => control::served_apps(),
        };
        names.into_iter().filter(control::is_served).collect()
    }

    async fn of_units(
        &self,
        manager: &Manager,
        names: &[AppName],
    ) -> anyhow::Result<Vec<AppStatus>> {
        let apps = facts::apps(manager, names, Depth::Quick).await?;
        let is_missing = |app: &App| app.units.handle.load != "loaded";
        if let Some(name) = &self.name
            && apps.iter().any(is_missing)
        {
            return Err(super::reload::not_installed(name, manager.which()));
        }
        let all = apps.into_iter().map(|app| of_units(manager.clone(), app));
        // In parallel: most of the work is reading files.
        let tasks: Vec<_> = all.map(tokio::spawn).collect();
        let mut found = Vec::new();
        for task in tasks {
            found.push(task.await.map_err(|error| anyhow!(error))??);
        }
        Ok(found)
    }
}

async fn of_units(manager: Manager, app: App) -> anyhow::Result<AppStatus> {
    let mut status = AppStatus::of_units(manager.which(), &app);
    let facts = facts::app(&manager, app, Depth::Quick).await?;
    status.findings = diagnosis::of_app(facts)
        .iter()
        .map(app::Problem::from)
        .collect();
    Ok(status)
}

fn local_app(name: &AppName) -> anyhow::Result<Option<AppStatus>> {
    let Answer::Running(running) = control::ask(name, &Ask::Status)? else {
        return Ok(None);
    };
    let store = existing_store(name, Place::Local)?;
    let generations = running.into_iter().map(Running::from);
    let generations = generations
        .map(|one| GenerationStatus::new(one, &store))
        .collect();
    let last = store.last_handover().ok().flatten();
    Ok(Some(AppStatus::local(&store, generations, last)))
}
