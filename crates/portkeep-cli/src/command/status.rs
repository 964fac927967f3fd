use std::process::ExitCode;

use portkeep_engine::Place;
use portkeep_engine::backend::systemd::{Manager, Systemd};
use portkeep_engine::{Backend, Running};
use portkeep_spec::{AppName, unit_names};

mod app;
mod print;

use crate::control::{self, Answer, Ask};
use crate::locate::{self, ManagerArgs, existing_store, installed_apps, place};
use crate::output;
use app::{AppStatus, GenerationStatus};

/// Show what runs: who is current, what drains, the last handover
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep status            all apps\n  portkeep status hello\n  portkeep status --json     an array: name, backend, port, listen, current, generations, lastHandover"
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
        let mut found = Vec::new();
        if self.manager.named().is_none() {
            found.extend(self.local_apps()?);
        }
        let which = self.manager.which();
        let names = match &self.name {
            Some(name) if found.is_empty() => vec![name.clone()],
            Some(_) => Vec::new(),
            None => installed_apps(which).await,
        };
        if !names.is_empty() {
            let manager = Manager::connect(which).await?;
            for name in names {
                found.push(of_units(manager.clone(), &name).await?);
            }
        }
        if self.json {
            output::json(&found)?;
        } else if found.is_empty() {
            crate::output::outln!(
                "No apps. `portkeep dev` runs the project in this directory; `portkeep install` places units."
            );
        } else {
            let now = jiff::Timestamp::now();
            for line in found.iter().flat_map(|app| print::lines(app, now)) {
                crate::output::outln!("{line}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Apps that a `portkeep dev` runs itself.
    fn local_apps(&self) -> anyhow::Result<Vec<AppStatus>> {
        let names = match &self.name {
            Some(name) => vec![name.clone()],
            None => control::served_apps(),
        };
        let mut found = Vec::new();
        for name in names.into_iter().filter(control::is_served) {
            let Answer::Running(running) = control::ask(&name, &Ask::Status)? else {
                continue;
            };
            let store = existing_store(&name, Place::Local)?;
            let generations = running
                .into_iter()
                .map(Running::from)
                .map(|one| GenerationStatus::new(one, &store))
                .collect();
            found.push(AppStatus::new(
                name,
                "local",
                "held".to_owned(),
                Vec::new(),
                generations,
                &store,
            ));
        }
        Ok(found)
    }
}

async fn of_units(manager: Manager, name: &AppName) -> anyhow::Result<AppStatus> {
    let which = manager.which();
    let socket = manager.state(&unit_names::socket(name)).await?;
    if socket.load != "loaded" {
        return Err(super::reload::not_installed(name, which));
    }
    let systemd = Systemd::new(manager, locate::existing_store(name, place(which))?);
    let store = systemd.store();
    let mut generations = Vec::new();
    for one in systemd.running().await? {
        let unit = unit_names::generation(name, one.generation.0);
        let state = systemd.manager().state(&unit).await?;
        generations.push(GenerationStatus::new(one, store).with(state));
    }
    let port = if socket.sub == "dead" {
        socket.active
    } else {
        socket.sub
    };
    let listen = socket
        .listen
        .into_iter()
        .map(|(_, address)| address)
        .collect();
    Ok(AppStatus::new(
        name.clone(),
        &which.to_string(),
        port,
        listen,
        generations,
        store,
    ))
}
