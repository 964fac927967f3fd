//! systemd holds the port: the app's units in the user manager, until `portkeep dev` ends.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use notify::RecommendedWatcher;
use portkeep_engine::backend::systemd::{Manager, Systemd, Until};
use portkeep_engine::handover::{Purpose, Unchanged};
use portkeep_engine::helper::{holding_page, reload_handle};
use portkeep_engine::store::HandoverRecord;
use portkeep_engine::units::{self, Family, Readable, UnitDirectory};
use portkeep_engine::{Generation, GiveUp, Handovers, Outcome, Place, Request, Store};
use portkeep_spec::{Allow, AppName, Manager as Which, Sandbox, Spec, unit_names};
use tokio::process::Child;
use tokio::sync::mpsc;

use super::publish::Published;
use super::{Event, HandingOver, others, output};
use crate::command::install::open_ports;
use crate::dev::lock::DevLock;
use crate::dev::project::Project;
use crate::dev::terminal::Signals;
use crate::dev::{browser, environment};
use crate::locate;

pub(crate) struct UnitSession {
    systemd: Arc<Systemd>,
    handovers: Handovers,
    spec: Spec,
    published: Published,
    directory: UnitDirectory,
    notices: Vec<String>,
    journal: Option<Child>,
    _others: RecommendedWatcher,
    _lock: DevLock,
}

impl UnitSession {
    pub(super) async fn open(
        project: &Project,
        manager: Manager,
        events: mpsc::UnboundedSender<Event>,
    ) -> anyhow::Result<Self> {
        let mut spec = project.spec.clone();
        let mut notices = project.notices.clone();
        let directory = UnitDirectory::runtime()?;
        let unit_path = manager.unit_path().await?;
        if let Some(other) = units::conflict(Which::User, &spec, &directory, &unit_path)? {
            let other = other.display();
            let name: AppName = format!("{}-dev", spec.name)
                .parse()
                .context("no other name for this app")?;
            notices.push(format!(
                "{other} has a name that {} needs: the units here are called {name}",
                spec.name
            ));
            spec.name = name;
        }
        let store = locate::store_for_releases(&spec.name, Place::User)?;
        let lock = DevLock::take(store.run_directory(), spec.name.as_str())?;
        // The sandbox is production's: a developed app writes into its project and calls other servers.
        (spec.sandbox, spec.allow) = (Sandbox::Off, Allow::default());
        let published = Published::prepare(project, &store, &mut spec)?;
        store.set_base_environment(&environment::of_generations(
            project,
            &browser::socket_path(store.run_directory()),
        )?)?;
        let journal = output::follow(&spec.name, events.clone()).ok();
        let others = others::follow(&store, events).context("cannot watch the history")?;
        let systemd = Arc::new(Systemd::new(manager, store));
        let session = Self {
            handovers: Handovers::start(systemd.clone(), systemd.store().clone()),
            systemd,
            spec,
            published,
            directory,
            notices,
            journal,
            _others: others,
            _lock: lock,
        };
        if let Err(error) = session.place().await {
            // What went wrong first is what has to be mended.
            return Err(match session.remove().await {
                Ok(()) => error,
                Err(second) => error.context(format!(
                    "and what was begun could not be taken back: {second:#}"
                )),
            });
        }
        Ok(session)
    }

    /// Renders, links and starts.
    async fn place(&self) -> anyhow::Result<()> {
        let manager = self.systemd.manager();
        let name = &self.spec.name;
        // A `portkeep dev` that was killed may have left its family running, with other settings.
        if !units::on_disk(name, self.directory.path())?.is_empty() {
            units::stop(manager, std::slice::from_ref(name)).await?;
            self.systemd.store().clear_current()?;
        }
        let helper = std::env::current_exe().context("cannot tell where this executable is")?;
        let spec_path = self.directory.spec_path(name);
        let family = Family::render(&self.spec, &helper, &spec_path, Which::User)?;
        units::write_spec(&self.spec, &spec_path, Readable::ByOwner)?;
        family.write(self.directory.path())?;
        manager.daemon_reload().await?;
        let mut opened = unit_names::sockets(&self.spec);
        let path_unit = unit_names::path(name);
        if family.has(&path_unit) {
            manager.enable(&[&path_unit], Until::Reboot).await?;
            manager.daemon_reload().await?;
            opened.push(path_unit);
        }
        open_ports(manager, &self.spec, &opened).await
    }

    pub(super) fn spec(&self) -> &Spec {
        &self.spec
    }

    pub(super) fn notices(&self) -> &[String] {
        &self.notices
    }

    pub(super) fn who_holds(&self) -> String {
        format!(
            "held by systemd ({}, user manager)",
            unit_names::socket(&self.spec.name)
        )
    }

    pub(super) fn serves(&self) -> Option<Generation> {
        self.systemd.store().current_app()
    }

    pub(super) fn hand_over(
        &self,
        executable: Option<PathBuf>,
        give_up: &GiveUp,
    ) -> anyhow::Result<HandingOver> {
        // Asked before it is published: what the path unit starts meanwhile answers this request too.
        let page = holding_page(&self.spec, self.systemd.store());
        let request = Request::now(Purpose::Reload).or_hold(page).unless(give_up);
        let before = self.serves();
        let replaced = self.published.publish(executable.as_deref())?;
        Ok(replaced.dropped_after(self.start(request, before)))
    }

    pub(super) fn start_again(&self, give_up: &GiveUp) -> HandingOver {
        let request = Request {
            unchanged: Unchanged::IsStarted,
            ..Request::now(Purpose::Reload).unless(give_up)
        };
        self.start(request, self.serves())
    }

    pub(super) fn store(&self) -> &Store {
        self.systemd.store()
    }

    fn start(&self, request: Request, before: Option<Generation>) -> HandingOver {
        let (systemd, spec) = (self.systemd.clone(), self.spec.clone());
        let handovers = self.handovers.clone();
        Box::pin(async move {
            let handle = unit_names::handle(&spec.name);
            if !systemd.manager().state(&handle).await?.is_active() {
                return Ok(reload_handle(&*systemd, systemd.store()).await?);
            }
            let outcome = handovers.ask(spec.clone(), request).await?;
            match outcome {
                // The path unit was quicker: what it did is what was asked for.
                Outcome::Unchanged(now) if before.is_some_and(|before| before != now) => {
                    match last_handover(&systemd) {
                        Some(record) => Ok(Outcome::of(record)?),
                        None => Ok(outcome),
                    }
                }
                outcome => Ok(outcome),
            }
        })
    }

    pub(super) async fn close(self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            removed = self.remove() => return removed,
            () = signals.stop() => {}
        }
        // Told twice: what still drains is ended now.
        let pattern = unit_names::generation_pattern(&self.spec.name);
        for (unit, _) in self.systemd.manager().list(&[&pattern]).await? {
            self.systemd.manager().kill(&unit).await?;
        }
        self.remove().await
    }

    async fn remove(&self) -> anyhow::Result<()> {
        self.handovers.close().await;
        let manager = self.systemd.manager();
        let name = &self.spec.name;
        let path_unit = unit_names::path(name);
        // There is none where the spec names no build output.
        if self.directory.path().join(&path_unit).exists() {
            manager.disable(&[&path_unit], Until::Reboot).await?;
        }
        units::stop(manager, std::slice::from_ref(name)).await?;
        units::remove_files(units::on_disk(name, self.directory.path())?.keys())?;
        let _ = std::fs::remove_file(self.directory.spec_path(name));
        manager.daemon_reload().await?;
        forget(self.systemd.store())
    }

    pub(super) fn detach(mut self) {
        drop(self.journal.take());
    }
}

fn last_handover(systemd: &Systemd) -> Option<HandoverRecord> {
    systemd.store().history().ok()?.into_iter().next_back()
}

/// Removes what only a running `portkeep dev` needs. The history stays.
pub(super) fn forget(store: &Store) -> anyhow::Result<()> {
    for directory in [
        store.run_directory().to_owned(),
        store.state_directory().join("releases"),
        store.state_directory().join("build"),
    ] {
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("cannot remove {}", directory.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
