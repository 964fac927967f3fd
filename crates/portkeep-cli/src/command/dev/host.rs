//! What the loop of `portkeep dev` has this program do: directories, unit files, and words for other commands.

use std::path::Path;

use anyhow::Context;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use portkeep_dev::Host;
use portkeep_engine::backend::systemd::{Manager, Systemd, Until};
use portkeep_engine::{Generation, HoldingPage, Outcome, Place, Request, Store};
use portkeep_spec::{Address, AppName, Manager as Which, Spec, unit_names};

use crate::command::install::open_ports;
use crate::command::reload::reload_handle;
use crate::command::rollback;
use crate::command::uninstall::stop_family;
use crate::control::Answer;
use crate::families::{self, Family, Readable, UnitDirectory};
use crate::output::outcome_line;
use crate::{exit, holder, holding, locate};

/// This program.
#[derive(Debug)]
pub(super) struct Program;

impl Host for Program {
    fn read_spec(&self, path: &Path) -> anyhow::Result<Spec> {
        locate::read_spec(path)
    }

    fn store(&self, name: &AppName, place: Place) -> anyhow::Result<Store> {
        locate::store_for_releases(name, place)
    }

    fn holding_page(&self, spec: &Spec, store: &Store) -> Option<HoldingPage> {
        holding::page(spec, store)
    }

    fn port_owner(&self, address: &Address) -> Option<String> {
        let owner = holder::of(address)?;
        Some(format!("{owner}; {}", owner.remedy()))
    }

    fn rollback(&self, store: &Store, generation: Option<Generation>) -> anyhow::Result<Request> {
        rollback::request(store, generation)
    }

    fn answer(&self, name: &AppName, outcome: &Outcome) -> Answer {
        Answer::Done {
            line: outcome_line(name, outcome),
            code: exit::code_of(outcome),
        }
    }

    fn conflict<'a>(
        &'a self,
        manager: &'a Manager,
        spec: &'a Spec,
    ) -> BoxFuture<'a, anyhow::Result<Option<String>>> {
        async move {
            let directory = UnitDirectory::runtime()?;
            Ok(families::conflict(manager, spec, directory.path()).await?)
        }
        .boxed()
    }

    fn place<'a>(
        &'a self,
        systemd: &'a Systemd,
        spec: &'a Spec,
    ) -> BoxFuture<'a, anyhow::Result<()>> {
        place(systemd, spec).boxed()
    }

    fn remove<'a>(
        &'a self,
        systemd: &'a Systemd,
        name: &'a AppName,
    ) -> BoxFuture<'a, anyhow::Result<()>> {
        remove(systemd, name).boxed()
    }

    fn reload_handle<'a>(
        &'a self,
        systemd: &'a Systemd,
        name: &'a AppName,
    ) -> BoxFuture<'a, anyhow::Result<Outcome>> {
        async move { reload_handle(systemd, &unit_names::handle(name)).await }.boxed()
    }
}

/// Renders, links and starts.
async fn place(systemd: &Systemd, spec: &Spec) -> anyhow::Result<()> {
    let (manager, name) = (systemd.manager(), &spec.name);
    let directory = UnitDirectory::runtime()?;
    // A `portkeep dev` that was killed may have left its family running, with other settings.
    if !families::on_disk(name, directory.path()).is_empty() {
        stop_family(manager, name).await?;
        systemd.store().clear_current()?;
    }
    let helper = std::env::current_exe().context("cannot tell where this executable is")?;
    let spec_path = directory.spec_path(name);
    let family = Family::render(spec, &helper, &spec_path, Which::User)?;
    families::write_spec(spec, &spec_path, Readable::ByOwner)?;
    family.write(directory.path())?;
    manager.daemon_reload().await?;
    let sockets = unit_names::sockets(spec);
    let mut units: Vec<_> = sockets.iter().map(String::as_str).collect();
    let path_unit = unit_names::path(name);
    if family.has(&path_unit) {
        manager.enable(&[&path_unit], Until::Reboot).await?;
        manager.daemon_reload().await?;
        units.push(&path_unit);
    }
    open_ports(manager, spec, &units).await
}

async fn remove(systemd: &Systemd, name: &AppName) -> anyhow::Result<()> {
    let (manager, directory) = (systemd.manager(), UnitDirectory::runtime()?);
    let path_unit = unit_names::path(name);
    // There is none where the spec names no build output.
    if directory.path().join(&path_unit).exists() {
        manager.disable(&[&path_unit], Until::Reboot).await?;
    }
    stop_family(manager, name).await?;
    families::remove(&families::on_disk(name, directory.path()))?;
    let _ = std::fs::remove_file(directory.spec_path(name));
    Ok(manager.daemon_reload().await?)
}
