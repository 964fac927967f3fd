//! systemd session: the user manager holds the port and runs the units until `portkeep dev` ends.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use notify::RecommendedWatcher;
use portkeep_engine::backend::systemd::{Manager, Systemd};
use portkeep_engine::handover::{HandoverId, Purpose, Unchanged};
use portkeep_engine::helper::{holding_page, reload_handle};
use portkeep_engine::{Cancel, Generation, Handovers, Misuse, Outcome, Place, Request, Store};
use portkeep_spec::{Allow, AppName, Sandbox, Spec, unit_names};
use tokio::process::Child;
use tokio::sync::mpsc;

use super::handing_over::HandingOver;
use super::lock::DevLock;
use super::publish::Published;
use super::{environment, history, journal, leftovers, units};
use crate::event::Event;
use crate::host::Host;
use crate::options::Options;
use crate::pages;
use crate::project::{Project, Runner};
use crate::terminal::Signals;

#[derive(Debug)]
pub(crate) struct SystemdSession {
    systemd: Arc<Systemd>,
    handovers: Handovers,
    spec: Spec,
    published: Published,
    host: Arc<dyn Host>,
    notices: Vec<String>,
    journal: Option<Child>,
    _history: RecommendedWatcher,
    _lock: DevLock,
}

impl SystemdSession {
    pub(super) async fn prepare(
        project: &Project,
        options: &Options,
        host: Arc<dyn Host>,
        manager: Manager,
        events: mpsc::UnboundedSender<Event>,
    ) -> anyhow::Result<Self> {
        let mut spec = project.spec.clone();
        let mut notices = project.notices.clone();
        if let Some(other) = units::conflict(&manager, &spec).await? {
            let name: AppName = format!("{}-dev", spec.name)
                .parse()
                .context("no other name for this app")?;
            notices.push(format!(
                "{other} has a name that {} needs: the units here are called {name}",
                spec.name
            ));
            spec.name = name;
        }
        notices.extend(project.runner.as_ref().map(Runner::told_unused));
        let store = host.store(&spec.name, Place::User)?;
        let lock = DevLock::take(store.run_directory(), spec.name.as_str())?;
        notices.extend(leftovers::end(&store).await);
        // The sandbox is for production: an app in development writes into its project and calls other servers.
        (spec.sandbox, spec.allow) = (Sandbox::Off, Allow::default());
        let published = Published::prepare(project, &store, &mut spec, options.detaches)?;
        if matches!(published, Published::Publication(_)) && !options.detaches {
            // This session hands over what it publishes: the path unit must not do so as well.
            spec.watch = None;
        }
        store.set_base_environment(&environment::of_generations(
            project,
            &pages::socket_path(store.run_directory()),
            &mut notices,
        ))?;
        let journal = journal::follow(&spec.name, events.clone()).ok();
        let history = history::follow(&store, events).context("cannot watch the history")?;
        let systemd = Arc::new(Systemd::new(manager, store));
        Ok(Self {
            handovers: Handovers::start(systemd.clone(), systemd.store().clone()),
            systemd,
            spec,
            published,
            host,
            notices,
            journal,
            _history: history,
            _lock: lock,
        })
    }

    /// Places the units, and has systemd open the port.
    pub(super) async fn begin(&self) -> anyhow::Result<()> {
        units::place(&self.systemd, &self.spec, &*self.host).await
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
        id: &HandoverId,
        cancel: &Cancel,
    ) -> anyhow::Result<HandingOver> {
        // Built before publishing: a handover that the path unit begins meanwhile answers this request as well.
        let page = holding_page(&self.spec);
        let request = Request::now(Purpose::Reload).called(id.clone());
        let request = request.or_holding_page(page).unless(cancel);
        let before = self.serves();
        let replaced = self.published.publish(executable.as_deref())?;
        Ok(replaced.dropped_after(self.start(request, before)))
    }

    pub(super) fn start_again(&self, id: &HandoverId, cancel: &Cancel) -> HandingOver {
        let request = Request {
            unchanged: Unchanged::IsStarted,
            ..Request::now(Purpose::Reload)
                .called(id.clone())
                .unless(cancel)
        };
        self.start(request, self.serves())
    }

    pub(super) fn take_misuse(&self) -> Option<Misuse> {
        self.systemd.take_misuse()
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
            match handovers.ask(spec.clone(), request).await? {
                // The path unit was faster, because the spec watches its output: its handover is the requested one.
                Outcome::Unchanged(now) if before.is_some_and(|before| before != now) => {
                    Ok(handover_of(systemd.store(), now).unwrap_or(Outcome::Unchanged(now)))
                }
                outcome => Ok(outcome),
            }
        })
    }

    pub(super) async fn close(self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            removed = self.remove() => return removed,
            () = signals.stop_at_once() => {}
        }
        // The second signal: draining generations are killed now.
        let pattern = unit_names::generation_pattern(&self.spec.name);
        for (unit, _) in self.systemd.manager().list(&[&pattern]).await? {
            self.systemd.manager().kill(&unit).await?;
        }
        self.remove().await
    }

    async fn remove(&self) -> anyhow::Result<()> {
        self.handovers.close().await;
        units::remove(&self.systemd, &self.spec.name).await?;
        self.published.remove();
        leftovers::remove(self.systemd.store())
    }

    pub(super) fn detach(mut self) {
        drop(self.journal.take());
    }
}

/// The handover that made a generation current.
fn handover_of(store: &Store, generation: Generation) -> Option<Outcome> {
    let mut history = store.history().ok()?.into_iter().rev();
    let record = history.find(|record| record.generation == Some(generation))?;
    Outcome::of(record).ok()
}
