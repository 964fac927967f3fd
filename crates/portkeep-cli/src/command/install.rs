use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use portkeep_engine::app_directories;
use portkeep_engine::backend::systemd::{JobResult, Manager, Until};
use portkeep_engine::helper::reload_handle;
use portkeep_spec::{AppName, Manager as Which, Spec, unit_names};

use crate::exit::usage;
use crate::families::{self, Family, Readable, UnitDirectory, write_spec};
use crate::holder;
use crate::locate::{self, ManagerArgs};
use crate::output::outcome_line;

/// Place the units of an app on a machine without Nix
///
/// The first connection activates the app, `systemctl reload NAME` hands over, a reboot brings the port back.
/// The executable and this helper are copied, so that no build and no upgrade can pull them away.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo portkeep install --system --now --spec portkeep.json\n  portkeep install --user"
)]
pub(crate) struct Args {
    /// The spec [default: ./portkeep.json].
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Open the port at once.
    #[arg(long)]
    now: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let which = self.manager.which();
        let spec = locate::load_spec(self.spec)?;
        if which == Which::System && !rustix::process::geteuid().is_root() {
            return Err(usage(
                "placing units for the system manager needs root: run it with sudo, or use --user",
            ));
        }
        let name = spec.name.clone();
        let directory = UnitDirectory::installed(which)?;
        let manager = Manager::connect(which).await?;
        if let Some(other) = families::conflict(&manager, &spec, directory.path()).await? {
            return Err(usage(format!(
                "{other} has a name that the units of {name} need; rename the app, or remove that unit first"
            )));
        }
        let helper = locate::existing_store(&name, locate::place(which))?
            .state_directory()
            .join("portkeep");
        let spec_path = directory.spec_path(&name);
        let before = Spec::load(&spec_path).ok();
        // All that can be refused is refused before anything is written.
        let family = Family::render(&spec, &helper, &spec_path, which)?;
        if which == Which::System
            && let Some(foreign) = app_directories::foreign(&spec, before.as_ref())
                .with_context(|| format!("cannot tell whose the directories of {name} are"))?
        {
            return Err(usage(foreign.to_string()));
        }
        let store = locate::store_for_releases(&name, locate::place(which))?;
        place_helper(&helper)?;
        write_spec(&spec, &spec_path, Readable::ByOwner)?;
        // While their files are there: systemd finds by them what enabled them. All of them, since another version may have had
        // others want them.
        let stale = families::enabled_units(&name, directory.path());
        let stale: Vec<_> = stale.iter().map(String::as_str).collect();
        manager.disable(&stale, Until::Disabled).await?;
        let removed = family.removed_sockets(&name, directory.path());
        let changes_sockets = family.changes_sockets(directory.path());
        families::write_shared(which, directory.path())?;
        family.write(directory.path())?;
        manager.daemon_reload().await?;
        // Active without a file, it would have no descriptor any more, and no start would open it again. Not before its file
        // is gone: until then it refuses.
        for socket in &removed {
            manager.stop(socket).await?;
        }
        let sockets = unit_names::sockets(&spec);
        let mut enabled: Vec<_> = sockets.iter().map(String::as_str).collect();
        let path_unit = unit_names::path(&name);
        if family.has(&path_unit) {
            enabled.push(&path_unit);
        }
        manager.enable(&enabled, Until::Disabled).await?;
        manager.daemon_reload().await?;
        crate::output::outln!(
            "{name}: {} units in {}",
            family.files().len(),
            directory.path().display()
        );

        if which == Which::System && spec.allow.is_root() {
            crate::output::outln!("{name} runs as root, as allow.user says.");
        }
        super::units::tell_left_out(&spec, &helper, &spec_path, which)?;

        let systemd = portkeep_engine::backend::systemd::Systemd::new(manager, store);
        if changes_sockets {
            crate::output::outln!(
                "The sockets changed: where they listen, or whom they let in. A socket cannot be changed while it is open: \
                 `systemctl {flag}stop {} '{}'`, then \
                 `systemctl {flag}start {}`.",
                unit_names::target(&name),
                unit_names::generation_pattern(&name),
                unit_names::socket(&name),
                flag = flag(which),
            );
        }
        let handle = unit_names::handle(&name);
        if systemd.manager().state(&handle).await?.is_active() {
            let outcome = reload_handle(&systemd, systemd.store()).await?;
            crate::output::outln!("{}", outcome_line(&name, &outcome));
        }
        if self.now {
            open_ports(systemd.manager(), &spec, &enabled).await?;
            for listen in &spec.listen {
                crate::output::outln!(
                    "{name}: {} is open; the first connection starts the app",
                    listen.address
                );
            }
        }
        if which == Which::User && !lingers() {
            crate::output::outln!(
                "Your user manager ends with your last session: `loginctl enable-linger` keeps it, also over a reboot."
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The word between `systemctl` and its verb.
fn flag(which: Which) -> &'static str {
    match which {
        Which::System => "",
        Which::User => "--user ",
    }
}

/// Starts the socket units; one that cannot listen is explained.
pub(crate) async fn open_ports(
    manager: &Manager,
    spec: &Spec,
    units: &[&str],
) -> anyhow::Result<()> {
    let name: &AppName = &spec.name;
    for unit in units {
        let job = manager.start(unit).await?;
        if job == JobResult::Done {
            continue;
        }
        for listen in &spec.listen {
            if let Some(holder) = holder::of(&listen.address) {
                return Err(anyhow!(
                    "{} is held by {holder}; {}",
                    listen.address,
                    holder.remedy()
                ));
            }
        }
        return Err(anyhow!(
            "{unit} did not start (`{job}`); see `journalctl {}-u {unit}`",
            flag(manager.which())
        ))
        .with_context(|| format!("the port of {name} is not open"));
    }
    Ok(())
}

/// Copies this executable to where the units call it.
fn place_helper(helper: &Path) -> anyhow::Result<()> {
    let fail = || format!("cannot copy the helper to {}", helper.display());
    let own = std::env::current_exe().with_context(fail)?;
    if fs::canonicalize(helper).is_ok_and(|there| there == own) {
        return Ok(());
    }
    let directory = helper.parent().unwrap_or(Path::new("."));
    let mut staged = tempfile::Builder::new()
        .prefix(".portkeep.")
        .tempfile_in(directory)
        .with_context(fail)?;
    let mut own = File::open(own).with_context(fail)?;
    io::copy(&mut own, &mut staged).with_context(fail)?;
    // Whatever the umask is: the app's user runs it as the holding page.
    let executable = fs::Permissions::from_mode(0o755);
    staged
        .as_file()
        .set_permissions(executable)
        .with_context(fail)?;
    // Not written over, because the old one may be running.
    staged.persist(helper).with_context(fail)?;
    Ok(())
}

/// Whether the user manager outlives the last session. logind marks it by a file.
pub(crate) fn lingers() -> bool {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_default();
    !user.is_empty() && Path::new("/var/lib/systemd/linger").join(user).exists()
}
