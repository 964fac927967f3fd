//! Units of an app in the user manager, for as long as it is developed.

use anyhow::{Context, anyhow};
use portkeep_engine::backend::systemd::{JobResult, Manager, Systemd, Until};
use portkeep_engine::units::{self, Readable, UnitDirectory, UnitFiles};
use portkeep_spec::{AppName, Manager as Which, Spec, unit_names};

use crate::host::Host;

/// A unit elsewhere whose name the app's units need.
pub(super) async fn conflict(manager: &Manager, spec: &Spec) -> anyhow::Result<Option<String>> {
    let unit_path = manager.unit_path().await?;
    let other = units::conflict(Which::User, spec, &UnitDirectory::runtime()?, &unit_path)?;
    Ok(other.map(|other| other.display().to_string()))
}

/// Renders, links and starts the units.
pub(super) async fn place(systemd: &Systemd, spec: &Spec, host: &dyn Host) -> anyhow::Result<()> {
    let (manager, name) = (systemd.manager(), &spec.name);
    let directory = UnitDirectory::runtime()?;
    // A killed `portkeep dev` may have left its units running, with other settings.
    if !units::on_disk(name, directory.path())?.is_empty() {
        units::stop(manager, std::slice::from_ref(name)).await?;
        systemd.store().clear_current()?;
    }
    let helper = std::env::current_exe().context("cannot find the path of this executable")?;
    let spec_path = directory.spec_path(name);
    let files = UnitFiles::render(spec, &helper, &spec_path, Which::User)?;
    units::write_spec(spec, &spec_path, Readable::ByOwner)?;
    files.write(directory.path())?;
    manager.daemon_reload().await?;
    let mut opened = unit_names::sockets(spec);
    let path_unit = unit_names::path(name);
    if files.has(&path_unit) {
        manager.enable(&[&path_unit], Until::Reboot).await?;
        manager.daemon_reload().await?;
        opened.push(path_unit);
    }
    open(manager, spec, &opened, host).await
}

/// Starts the socket units, and explains why one cannot listen.
async fn open(
    manager: &Manager,
    spec: &Spec,
    units: &[String],
    host: &dyn Host,
) -> anyhow::Result<()> {
    let ended = manager.start_all(units).await?;
    let Some(failed) = ended.iter().find(|one| one.result != JobResult::Done) else {
        return Ok(());
    };
    for listen in &spec.ports() {
        if let Some(owner) = host.port_owner(&listen.address) {
            return Err(anyhow!("{} is held by {owner}", listen.address));
        }
    }
    let (unit, job) = (&failed.unit, &failed.result);
    Err(anyhow!(
        "{unit} did not start (`{job}`); see `journalctl --user -u {unit}`"
    ))
    .with_context(|| format!("the port of {} is not open", spec.name))
}

/// Stops an app and removes its units.
pub(super) async fn remove(systemd: &Systemd, name: &AppName) -> anyhow::Result<()> {
    let (manager, directory) = (systemd.manager(), UnitDirectory::runtime()?);
    let path_unit = unit_names::path(name);
    // There is none if the spec names no build output.
    if directory.path().join(&path_unit).exists() {
        manager.disable(&[&path_unit], Until::Reboot).await?;
    }
    units::stop(manager, std::slice::from_ref(name)).await?;
    units::remove_files(units::on_disk(name, directory.path())?.keys())?;
    let _ = std::fs::remove_file(directory.spec_path(name));
    Ok(manager.daemon_reload().await?)
}
