use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use portkeep_engine::backend::systemd::{Manager, Until};
use portkeep_engine::{Directories, Place};
use portkeep_spec::{AppName, Manager as Which, unit_names};

use crate::exit::usage;
use crate::families::{self, UnitDirectory};
use crate::locate::{self, ManagerArgs};

/// Undo `install`: stop the app, close its port, remove its units
///
/// Stops what runs (requests under way are finished first). Releases and history go too, unless --keep-state.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo portkeep uninstall --system hello")]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Keep releases and history.
    #[arg(long)]
    keep_state: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let (name, which) = (self.name, self.manager.which());
        if which == Which::System && !rustix::process::geteuid().is_root() {
            return Err(usage(
                "removing units of the system manager needs root: run it with sudo, or use --user",
            ));
        }
        let (directory, until) = self::directory(which, &name)?;
        let files = families::on_disk(&name, directory.path());
        let manager = Manager::connect(which).await?;
        let enabled = families::enabled_units(&name, directory.path());
        let enabled: Vec<_> = enabled.iter().map(String::as_str).collect();
        // First, so that nothing that starts meanwhile opens the port again.
        manager.disable(&enabled, until).await?;
        stop_family(&manager, &name).await?;
        families::remove(&files)?;
        families::remove_shared(directory.path())?;
        let _ = fs::remove_file(directory.spec_path(&name));
        manager.daemon_reload().await?;
        let place: Place = locate::place(which);
        let directories = Directories::of(place, &name)?;
        let _ = fs::remove_dir_all(&directories.run);
        if !self.keep_state {
            let _ = fs::remove_dir_all(&directories.state);
        }
        crate::output::outln!("{name}: stopped, {} units removed", files.len());
        Ok(ExitCode::SUCCESS)
    }
}

/// Where the units of an app are: where `install` places them, or where a `portkeep dev --detach` left them.
fn directory(which: Which, name: &AppName) -> anyhow::Result<(UnitDirectory, Until)> {
    let installed = UnitDirectory::installed(which)?;
    if !families::on_disk(name, installed.path()).is_empty() {
        return Ok((installed, Until::Disabled));
    }
    if which == Which::User
        && let Ok(runtime) = UnitDirectory::runtime()
        && !families::on_disk(name, runtime.path()).is_empty()
    {
        return Ok((runtime, Until::Reboot));
    }
    Err(usage(format!(
        "{} has no units of an app `{name}`",
        installed.path().display()
    )))
}

/// Stops an app as a whole and waits until its generations are gone.
pub(crate) async fn stop_family(manager: &Manager, name: &AppName) -> anyhow::Result<()> {
    // First what could start the rest again.
    let watched = unit_names::secrets_pattern(name);
    for (unit, _) in manager.list(&[&watched]).await? {
        manager.stop(&unit).await?;
    }
    for unit in [
        unit_names::secrets(name),
        unit_names::secrets_recheck(name),
        unit_names::path(name),
        unit_names::deploy(name),
        unit_names::recheck(name),
        unit_names::retry(name),
    ] {
        manager.stop(&unit).await?;
        manager.reset_failed(&unit).await?;
    }
    // The sockets are stopped with the target; the generations drain meanwhile.
    for unit in [unit_names::target(name), unit_names::handle(name)] {
        manager.stop(&unit).await?;
        manager.reset_failed(&unit).await?;
    }
    let (pattern, page) = (
        unit_names::generation_pattern(name),
        unit_names::holding(name),
    );
    for (unit, _) in manager.list(&[&pattern, &page]).await? {
        manager.stop(&unit).await?;
        manager.reset_failed(&unit).await?;
    }
    settled(manager, name).await?;
    // One that was being started again when we looked.
    for (unit, _) in manager.list(&[&pattern, &page]).await? {
        manager.stop(&unit).await?;
    }
    settled(manager, name).await
}

/// How long the ends of an app that was stopped may take to be settled.
const SETTLED: Duration = Duration::from_secs(10);

/// Waits until the ends of all generations are settled: what settles them calls the helper, and reads the spec.
async fn settled(manager: &Manager, name: &AppName) -> anyhow::Result<()> {
    let patterns = unit_names::settle_units(name, "*");
    let patterns = patterns.each_ref().map(String::as_str);
    let deadline = Instant::now() + SETTLED;
    loop {
        let units = manager.list(&patterns).await?;
        let busy = units.iter().find(|(_, state)| state.is_started());
        match busy {
            None => return Ok(()),
            Some((unit, _)) if Instant::now() > deadline => {
                return Err(anyhow!(
                    "{unit} does not end; see `systemctl status {unit}`"
                ));
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
