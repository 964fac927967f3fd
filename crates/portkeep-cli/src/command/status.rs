use std::process::ExitCode;

use portkeep_engine::backend::systemd::{Manager, Systemd};
use portkeep_engine::store::HandoverRecord;
use portkeep_engine::{Backend, Generation, Phase, Place, Running, Store};
use portkeep_spec::{AppName, unit_names};
use serde::Serialize;

use crate::control::{self, Answer, Ask};
use crate::families::installed_apps;
use crate::locate::{self, ManagerArgs, existing_store, place};
use crate::output;

/// Show what runs: who is current, what drains, the last handover
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep status            all apps\n  portkeep status hello\n  portkeep status --json     an array: name, backend, port, current, generations, lastHandover"
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

/// What is shown of an app; the shape of `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AppStatus {
    name: AppName,
    /// `system`, `user` or `local`.
    backend: String,
    /// State of the socket unit: `listening` or `running` while the port is open; `held` by `portkeep dev`.
    port: String,
    /// The generation that accepts connections.
    current: Option<Generation>,
    generations: Vec<GenerationStatus>,
    last_handover: Option<HandoverRecord>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationStatus {
    generation: Generation,
    phase: Phase,
    /// The release.
    digest: Option<String>,
    /// What it says of itself (`STATUS=`); empty where it says nothing.
    status: String,
    main_pid: Option<u32>,
    memory_bytes: Option<u64>,
    cpu_nanoseconds: Option<u64>,
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
            None => installed_apps(which),
        };
        if !names.is_empty() {
            let manager = Manager::connect(which).await?;
            let mut manager = Some(manager);
            for name in names {
                let manager = match manager.take() {
                    Some(manager) => manager,
                    None => Manager::connect(which).await?,
                };
                found.push(of_units(manager, &name).await?);
            }
        }
        if self.json {
            output::json(&found)?;
        } else if found.is_empty() {
            anstream::println!(
                "No apps. `portkeep dev` runs the project in this directory; `portkeep install` places units."
            );
        } else {
            found.iter().for_each(AppStatus::print);
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
                generations,
                &store,
            )?);
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
        let unit = systemd
            .manager()
            .state(&unit_names::generation(name, one.generation.0))
            .await?;
        let mut status = GenerationStatus::new(one, store);
        status.status = unit.status_text;
        status.main_pid = Some(unit.main_pid).filter(|pid| *pid != 0);
        status.memory_bytes = unit.memory_bytes;
        status.cpu_nanoseconds = unit.cpu_nanoseconds;
        generations.push(status);
    }
    let port = if socket.sub == "dead" {
        socket.active
    } else {
        socket.sub
    };
    AppStatus::new(name.clone(), &which.to_string(), port, generations, store)
}

impl AppStatus {
    fn new(
        name: AppName,
        backend: &str,
        port: String,
        generations: Vec<GenerationStatus>,
        store: &Store,
    ) -> anyhow::Result<Self> {
        let serves =
            |current: &Generation| generations.iter().any(|one| one.generation == *current);
        let current = store.current().filter(serves);
        // The history is its owner's; what runs is for everybody.
        let last_handover = store
            .history()
            .ok()
            .and_then(|history| history.into_iter().next_back());
        Ok(Self {
            name,
            backend: backend.to_owned(),
            port,
            current,
            generations,
            last_handover,
        })
    }

    fn print(&self) {
        anstream::println!("{} ({}), port {}", self.name, self.backend, self.port);
        if self.generations.is_empty() {
            anstream::println!("  no generation runs; the next connection starts one");
        }
        for one in &self.generations {
            let current = if self.current == Some(one.generation) {
                "current"
            } else {
                ""
            };
            let memory = one
                .memory_bytes
                .map(|bytes| format!("{} MiB", bytes >> 20))
                .unwrap_or_default();
            anstream::println!(
                "  generation {:<5} {:<9} {current:<8} {:<12} {memory:>9}  {}",
                one.generation,
                phase_word(one.phase),
                one.digest.as_deref().unwrap_or_default(),
                one.status,
            );
        }
        if let Some(record) = &self.last_handover {
            anstream::println!("  last: {}", output::record_line(record));
        }
    }
}

impl GenerationStatus {
    fn new(running: Running, store: &Store) -> Self {
        let digest = store
            .release_of(running.generation)
            .map(|release| release.digest().short().to_owned());
        Self {
            generation: running.generation,
            phase: running.phase,
            digest,
            status: String::new(),
            main_pid: None,
            memory_bytes: None,
            cpu_nanoseconds: None,
        }
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Serving => "serving",
        Phase::Draining => "draining",
    }
}
