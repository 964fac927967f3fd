use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow};
use portkeep_engine::Directories;
use portkeep_engine::backend::systemd::{Manager, Systemd};
use portkeep_engine::handover::Unchanged;
use portkeep_engine::helper::{self, Preview};
use portkeep_engine::metrics;
use portkeep_engine::units::{
    self, AppPlan, Asked, Call, Catalog, Failure, Helper, Install, InstallError, Installed,
    Options, Plan, Refusal, Refusals, Why,
};
use portkeep_spec::{AppName, Label, Manager as Which, Spec, contract, unit_names};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::usage;
use crate::locate::{self, ManagerArgs};
use crate::output::{
    self, HandoverReport, InstallReport, changes, ending_line, errln, outcome_line, outln,
};
use crate::{caller, port_owner};

/// Place the units of apps on a machine without Nix
///
/// The first connection activates an app, `systemctl reload NAME` hands over, and a reboot opens the port again. A running
/// app hands over at once. The executable and this helper are copied, so that no build and no upgrade can replace them.
///
/// All or nothing: everything is checked first, and if a step fails, files, sockets and running apps are as before (exit
/// code 1).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo portkeep install --system --now          the app of ./portkeep.json\n  sudo portkeep install --now one.json two.json  both, or none of them\n  portkeep install --user --dry-run              what would change\n  sudo portkeep install --label \"$(git rev-parse HEAD)\"   status, history and metrics tell which version serves\n  sudo portkeep install --replaces shop store.json  the app `shop` is called `store` now; its port stays open"
)]
pub(crate) struct Args {
    /// The specs [default: ./portkeep.json].
    #[arg(value_name = "SPEC")]
    specs: Vec<PathBuf>,
    /// A further spec.
    #[arg(long, value_name = "FILE")]
    spec: Vec<PathBuf>,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Open the ports at once.
    #[arg(long)]
    now: bool,
    /// Take the place of this app, and keep its ports open. The spec must listen on all of that app's addresses.
    #[arg(long, value_name = "NAME")]
    replaces: Option<AppName>,
    /// Label of the release: a git revision, a version. It overrides the spec's `label`.
    #[arg(long, value_name = "TEXT")]
    label: Option<Label>,
    /// Place a timer that writes metrics of all apps for node_exporter, every 15 s.
    #[arg(long)]
    metrics: bool,
    /// The directory that node_exporter reads.
    #[arg(
        long,
        value_name = "DIR",
        requires = "metrics",
        default_value = "/var/lib/prometheus/node-exporter"
    )]
    textfile: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: `changed` says whether anything changed, or would with --dry-run.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let which = self.manager.which();
        let mut asked = load(self.specs.into_iter().chain(self.spec).collect())?;
        if let Some(label) = &self.label {
            for one in &mut asked {
                one.spec.label = Some(label.clone());
            }
        }
        if self.replaces.is_some() && asked.len() != 1 {
            return Err(usage(
                "--replaces takes one spec: that of the app by which another is replaced",
            ));
        }
        if !self.dry_run {
            caller::may_change(which)?;
        }
        let textfiles = self.metrics.then_some(self.textfile);
        if let Some(directory) = &textfiles {
            metrics::check_directory(directory).map_err(|error| usage(error.to_string()))?;
        }
        let manager = Manager::connect(which).await?;
        let base = Directories::all(units::place(which))?.state;
        let replaced: Vec<_> = self.replaces.iter().cloned().collect();
        let call = Call {
            asked,
            options: Options {
                open: self.now,
                replaces: self.replaces,
                metrics: textfiles,
            },
            helper: Helper::of(&base, own_program()?, env!("CARGO_PKG_VERSION"))?,
            only_look: self.dry_run,
            owner: &|address| Some(held(&port_owner::of(address)?)),
        };
        let helper = call.helper.path().to_owned();
        let install = Install::prepare(&manager, call).await.map_err(told)?;
        if self.dry_run {
            match self.json {
                true => output::json(&expected(&manager, install.plan()).await?)?,
                false => changes::print(install.plan()),
            }
            return Ok(ExitCode::SUCCESS);
        }
        let interrupted = interrupted()?;
        let installed = units::told_of_endings(
            &manager,
            &replaced,
            |ending| errln!("{}", ending_line(which, ending)),
            install.carry_out(&interrupted),
        );
        let installed = installed.await.map_err(told)?;
        if self.json {
            output::json(&report(installed))?;
            return Ok(ExitCode::SUCCESS);
        }
        for (app, outcome) in &installed.apps {
            tell(which, &installed, app, self.now);
            super::units::tell_left_out(
                &app.spec,
                &helper,
                &installed.directory.spec_path(&app.name),
                which,
            )?;
            if let Some(outcome) = outcome {
                outln!("{}", outcome_line(&app.name, outcome));
            }
        }
        for leftover in &installed.leftovers {
            outln!("What is installed serves, but something was left behind: {leftover}");
        }
        let catalog = Catalog::of_machine();
        if which == Which::User && !catalog.is_placed() {
            outln!(
                "`journalctl -x` explains what happens to it once root has placed the message catalog: `{}`",
                catalog.command()
            );
        }
        if which == Which::User && !caller::lingers() {
            outln!(
                "Your user manager ends with your last session: `loginctl enable-linger` keeps it, also over a reboot."
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The changes that an install would make.
async fn expected(manager: &Manager, plan: &Plan) -> anyhow::Result<InstallReport> {
    let mut apps = Vec::new();
    for app in &plan.apps {
        let handover = match app.handover {
            None => None,
            Some(_) if !app.changes.is_empty() => Some(Preview::HandsOver),
            Some(_) => {
                let store = locate::existing_store(&app.name, units::place(manager.which()))?;
                let systemd = Systemd::new(manager.clone(), store);
                let helper = helper::Helper::new(&systemd, systemd.store(), |_| {});
                Some(helper.preview(Unchanged::IsDone).await?)
            }
        };
        let handover = handover.map(|preview| HandoverReport::expected(&app.name, preview));
        apps.push((app, handover));
    }
    Ok(InstallReport::of(&plan.shared, apps))
}

fn report(installed: Installed) -> InstallReport {
    let apps = installed.apps.iter().map(|(app, outcome)| {
        let outcome = outcome.as_ref();
        let handover = outcome.map(|outcome| HandoverReport::of(&app.name, outcome));
        (app, handover)
    });
    InstallReport::of(&installed.shared, apps.collect()).leaving(installed.leftovers)
}

/// Reads all specs, or reports the errors of each.
fn load(paths: Vec<PathBuf>) -> anyhow::Result<Vec<Asked>> {
    if let [] | [_] = paths.as_slice() {
        let path = paths.into_iter().next();
        let source = path.clone().unwrap_or_else(|| contract::SPEC_FILE.into());
        let spec = locate::load_spec(path)?;
        return Ok(vec![Asked { source, spec }]);
    }
    let (mut asked, mut refused) = (Vec::new(), Vec::new());
    for source in paths {
        match Spec::load(&source) {
            Ok(spec) => asked.push(Asked { source, spec }),
            Err(error) => refused.push(Refusal {
                source,
                why: Why::Spec(error),
            }),
        }
    }
    match refused.is_empty() {
        true => Ok(asked),
        false => Err(told(Refusals(refused).into())),
    }
}

/// This program itself, even if somebody has replaced or removed its file meanwhile.
fn own_program() -> anyhow::Result<std::fs::File> {
    let open = std::fs::File::open("/proc/self/exe");
    open.or_else(|_| std::fs::File::open(std::env::current_exe()?))
        .context("cannot read the file of this program, to copy it as the helper of the units")
}

/// Set when this command is interrupted.
fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut asked = signal(kind).context("cannot wait for signals")?;
        let interrupted = interrupted.clone();
        tokio::spawn(async move {
            if asked.recv().await.is_some() {
                interrupted.store(true, Ordering::SeqCst);
            }
        });
    }
    Ok(interrupted)
}

fn held(owner: &port_owner::PortOwner) -> String {
    format!("{owner}; {}", owner.remedy())
}

/// The same error, with its exit code.
fn told(error: InstallError) -> anyhow::Error {
    match error {
        InstallError::Refused(refusals) if refusals.are_usage() => usage(refusals.to_string()),
        InstallError::Failed(Failure::NotOpen { ref addresses, .. }, _) => {
            let mut owners = addresses.iter();
            match owners.find_map(|address| Some((address, port_owner::of(address)?))) {
                Some((address, owner)) => {
                    anyhow!("{address} is held by {}", held(&owner)).context(error)
                }
                None => error.into(),
            }
        }
        error => error.into(),
    }
}

fn tell(which: Which, installed: &Installed, app: &AppPlan, is_open: bool) {
    let name = &app.name;
    outln!(
        "{name}: {} units in {}",
        app.units,
        installed.directory.path().display()
    );
    if let Some(old) = &app.replaces {
        outln!(
            "{name} has taken the place of {old}, whose ports stayed open. Releases and history of {old} are kept; data that it \
             kept in a directory of its own is where it was."
        );
    }
    if which == Which::System && app.spec.allow.is_root() {
        outln!("{name} runs as root, as allow.user says.");
    }
    if !app.anew.is_empty() {
        let flag = flag(which);
        outln!(
            "{} still admit the users that they admitted before, until they are reopened: `systemctl {flag}stop {} '{}'`, then `systemctl \
             {flag}start {}`.",
            app.anew.join(" and "),
            unit_names::target(name),
            unit_names::generation_pattern(name),
            unit_names::socket(name),
        );
    }
    if is_open {
        for listen in &app.spec.listen {
            outln!(
                "{name}: {} is open; the first connection starts the app",
                listen.address
            );
        }
    }
}

/// The word between `systemctl` and its verb.
fn flag(which: Which) -> &'static str {
    match which {
        Which::System => "",
        Which::User => "--user ",
    }
}
