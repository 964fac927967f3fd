//! Collects the facts. Decides nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use portkeep_engine::backend::systemd::{Manager, Systemd};
use portkeep_engine::store::HandoverResult;
use portkeep_engine::units::{self, UnitDirectory};
use portkeep_engine::{Backend, Phase, Store, executable_of};
use portkeep_spec::{Address, AppName, Listen, Manager as Which, Spec, SpecError, unit_names};

use super::facts::{AppFacts, GenerationFacts, MachineFacts, SocketFacts};
use crate::holder;
use crate::locate::{existing_store, place};

/// With less, a handover may fail half-way: a release is a copy of the executable.
const ENOUGH_SPACE: u64 = 64 << 20;

/// The machine, and its manager if that can be asked.
pub(super) async fn machine(which: Which) -> (MachineFacts, Option<Manager>) {
    let mut manager = None;
    let version = match Manager::connect(which).await {
        Ok(connected) => match connected.version().await {
            Ok(version) => {
                manager = Some(connected);
                Ok(version)
            }
            Err(error) => Err(chain(&error)),
        },
        Err(error) => Err(chain(&error)),
    };
    let facts = MachineFacts {
        which,
        version,
        lingers: (which == Which::User).then(crate::caller::lingers),
        somaxconn: kernel_number("net/core/somaxconn"),
        aborts_on_overflow: kernel_number("net/ipv4/tcp_abort_on_overflow").unwrap_or(0) != 0,
        unified_cgroups: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
    };
    (facts, manager)
}

fn kernel_number(name: &str) -> Option<u32> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    text.trim().parse().ok()
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

pub(super) async fn app(manager: &Manager, name: &AppName) -> anyhow::Result<AppFacts> {
    let which = manager.which();
    let store = existing_store(name, place(which))?;
    let directory = UnitDirectory::installed(manager).await?;
    let spec_path = directory.spec_path(name);
    let spec = read_spec(&store, &spec_path);
    let handle = manager.state(&unit_names::handle(name)).await?;
    let (spec, bad_spec) = match spec {
        Some(Ok(spec)) => (Some(spec), None),
        Some(Err(error)) => (None, Some(chain(&error))),
        None => (None, None),
    };
    let last = store
        .history()
        .ok()
        .and_then(|history| history.into_iter().next_back());
    let last_failure = last.filter(|record| {
        matches!(
            record.result,
            HandoverResult::Failed | HandoverResult::Refused
        )
    });
    let systemd = Systemd::new(manager.clone(), store.clone());
    Ok(AppFacts {
        name: name.clone(),
        which,
        // Only root can read what a system app is; nobody else is told that it is wrong.
        bad_executable: spec
            .as_ref()
            .and_then(|spec| executable_of(spec).err())
            .map(|error| chain(&error)),
        bad_spec,
        target: manager.state(&unit_names::target(name)).await?,
        sockets: sockets(manager, name, spec.as_ref()).await?,
        outdated: spec
            .as_ref()
            .map(|spec| outdated(spec, which, &store, &directory))
            .unwrap_or_default(),
        helper_missing: handle
            .program()
            .filter(|helper| !is_executable(Path::new(helper)))
            .map(str::to_owned),
        handle,
        current: store.current(),
        generations: generations(&systemd).await?,
        bad_directories: [store.state_directory(), store.run_directory()]
            .into_iter()
            .filter_map(bad_directory)
            .collect(),
        last_failure: last_failure.and_then(|record| record.reason),
    })
}

/// The spec that was installed, or the one that the app was activated with; none where it may not be read.
fn read_spec(store: &Store, installed: &Path) -> Option<Result<Spec, SpecError>> {
    let path = store.spec_path().unwrap_or_else(|| installed.to_owned());
    match Spec::load(&path) {
        Err(SpecError::Read { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            None
        }
        other => Some(other),
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The units that `portkeep install` wrote and would write differently now. Others (Nix, `portkeep dev`) are written anew
/// with each change.
fn outdated(spec: &Spec, which: Which, store: &Store, directory: &UnitDirectory) -> Vec<String> {
    let spec_path = directory.spec_path(&spec.name);
    if store.spec_path().is_some_and(|path| path != spec_path) {
        return Vec::new();
    }
    units::outdated(spec, which, directory).unwrap_or_default()
}

async fn sockets(
    manager: &Manager,
    name: &AppName,
    spec: Option<&Spec>,
) -> anyhow::Result<Vec<SocketFacts>> {
    let (units, listen): (Vec<String>, &[Listen]) = match spec {
        Some(spec) => (unit_names::sockets(spec), &spec.listen),
        None => (vec![unit_names::socket(name)], &[]),
    };
    let mut found = Vec::new();
    for (index, unit) in units.into_iter().enumerate() {
        let state = manager.state(&unit).await?;
        let listen = listen.get(index);
        let loaded = state
            .listen
            .first()
            .and_then(|(kind, text)| address(kind, text));
        let wanted = listen.map(|listen| &listen.address).or(loaded.as_ref());
        let is_open = state.active == "active";
        let holder = wanted.filter(|_| !is_open).and_then(holder::of);
        found.push(SocketFacts {
            somebody_listens: loaded.as_ref().and_then(holder::listening_at),
            held_by: holder.map(|holder| (holder.to_string(), holder.remedy())),
            wanted: listen.map(|listen| listen.address.to_string()),
            backlog: listen
                .filter(|listen| listen.address.is_connected())
                .map(|listen| listen.backlog),
            unit,
            state,
        });
    }
    Ok(found)
}

/// An address as the manager tells it.
fn address(kind: &str, text: &str) -> Option<Address> {
    match kind {
        "Stream" => Address::stream(text).ok(),
        "Datagram" => Address::datagram(text).ok(),
        "SequentialPacket" => Address::sequential_packet(text).ok(),
        _ => None,
    }
}

async fn generations(systemd: &Systemd) -> anyhow::Result<Vec<GenerationFacts>> {
    let mut found = Vec::new();
    for one in systemd.running().await? {
        let unit = systemd.unit(one.generation);
        let state = systemd.manager().state(&unit).await?;
        found.push(GenerationFacts {
            generation: one.generation,
            phase: one.phase,
            is_holding_page: systemd.store().is_holding(one.generation),
            restarts: systemd.store().crashes(one.generation),
            open_files: (one.phase == Phase::Serving)
                .then(|| open_files(state.main_pid))
                .flatten(),
        });
    }
    Ok(found)
}

/// Open files of a process and how many it may have; none where /proc does not show them to us.
#[cfg(target_os = "linux")]
fn open_files(pid: u32) -> Option<(u64, u64)> {
    use procfs::process::{LimitValue, Process};

    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let open = u64::try_from(process.fd_count().ok()?).ok()?;
    match process.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some((open, limit)),
        LimitValue::Unlimited => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_files(_pid: u32) -> Option<(u64, u64)> {
    None
}

/// What is wrong with a directory that handovers write to.
fn bad_directory(directory: &Path) -> Option<String> {
    // Made by the first handover.
    let space = rustix::fs::statvfs(directory).ok()?;
    let shown = directory.display();
    if space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Some(format!("{shown} is on a read-only file system"));
    }
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free < ENOUGH_SPACE {
        return Some(format!("{shown} has {} MiB of space left", free >> 20));
    }
    let me = rustix::process::geteuid();
    let owner = rustix::fs::stat(directory).ok()?.st_uid;
    (me.is_root() && owner != 0).then(|| format!("{shown} belongs to user {owner}, not to root"))
}
