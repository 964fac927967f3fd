//! Collects the facts of a diagnosis. Decides nothing.

mod helper;
mod machine;
mod places;

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use portkeep_engine::backend::systemd::{AppUnits, Depth, Manager, Systemd, UnitState};
use portkeep_engine::diagnosis::{
    AppFacts, DirectoryFault, GenerationFacts, HelperFault, PortOwner, SocketFacts,
};
use portkeep_engine::stop_limits::{StopLimit, too_short};
use portkeep_engine::store::{HandoverRecord, HandoverResult};
use portkeep_engine::units::{self, UnitDirectory};
use portkeep_engine::{
    Backend, Comparison, Mismatch, Phase, Running, Store, check_trusted, compare_to, executable_of,
};
use portkeep_spec::{Address, AppName, Listen, Manager as Which, Spec, SpecError, unit_names};

use crate::locate::{existing_store, place};
use crate::port_owner;
pub(crate) use machine::machine;
use places::place_of;

/// An app with what is asked of it once for all.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) units: AppUnits,
    pub(crate) last: Option<HandoverRecord>,
    /// Where `portkeep install` places units.
    directory: Option<UnitDirectory>,
}

/// These apps, in their order.
pub(crate) async fn apps(
    manager: &Manager,
    names: &[AppName],
    depth: Depth,
) -> anyhow::Result<Vec<App>> {
    let place = place(manager.which());
    let stores = names.iter().map(|name| existing_store(name, place));
    let stores: Vec<Store> = stores.collect::<Result<_, _>>()?;
    let units = manager.units_of(&stores, depth).await?;
    let directory = UnitDirectory::installed(manager).await.ok();
    Ok(stores
        .into_iter()
        .zip(units)
        .map(|(store, units)| App {
            // The history is its owner's; what runs is for everybody.
            last: store.last_handover().ok().flatten(),
            store,
            units,
            directory: directory.clone(),
        })
        .collect())
}

/// With less, a handover may fail half-way: a release is a copy of the executable.
const ENOUGH_SPACE: u64 = 64 << 20;

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

/// One app.
pub(crate) async fn app(manager: &Manager, app: App, depth: Depth) -> anyhow::Result<AppFacts> {
    let which = manager.which();
    let App {
        store,
        units,
        last,
        directory,
    } = app;
    let specs = Specs::of(&store, &units.handle, directory.as_ref());
    let mut sockets = units.sockets.clone();
    if depth == Depth::Full
        && let Some(Ok(spec)) = &specs.spec
    {
        for unit in unit_names::sockets(spec) {
            if !sockets.iter().any(|(known, _)| *known == unit) {
                let state = manager.state(&unit).await?;
                sockets.push((unit, state));
            }
        }
    }
    let stop_limits = match depth {
        Depth::Full => manager.stop_limits(&store).await?,
        Depth::Quick | Depth::Runs => Vec::new(),
    };
    let looked = GatheredFacts {
        which,
        unit: unit_text(manager, &store, &units, depth).await,
        helper: faulty_helper(&units.handle, depth).await,
        directory,
        specs,
        sockets,
        store,
        units,
        last,
        depth,
        stop_limits,
    };
    // Files are read, and with `Full` an executable.
    Ok(tokio::task::spawn_blocking(move || looked.facts()).await?)
}

async fn faulty_helper(handle: &UnitState, depth: Depth) -> Option<(PathBuf, HelperFault)> {
    let path = PathBuf::from(handle.program()?);
    let fault = match depth {
        Depth::Quick | Depth::Runs => helper::seen(&path)?,
        Depth::Full => helper::fault(&path).await?,
    };
    Some((path, fault))
}

/// What starts a generation: as the next one would find it, or as the current one has it loaded.
async fn unit_text(
    manager: &Manager,
    store: &Store,
    units: &AppUnits,
    depth: Depth,
) -> Option<String> {
    if depth == Depth::Full {
        let systemd = Systemd::new(manager.clone(), store.clone());
        return systemd.settings().await.ok();
    }
    let current = store.current()?;
    let mut generations = units.generations.iter();
    let (_, state) = generations.find(|(one, _)| one.generation == current)?;
    Some(state.text())
}

/// The spec that an app's units name.
struct Specs {
    /// By which it is started; none where it may not be read.
    spec: Option<Result<Spec, SpecError>>,
    /// The one that `portkeep install` placed.
    installed: Option<PathBuf>,
    /// The last handover went by another one than the units name now.
    is_other: bool,
}

impl Specs {
    fn of(store: &Store, handle: &UnitState, directory: Option<&UnitDirectory>) -> Self {
        let named = handle.spec();
        let noted = store.spec_path();
        let installed = directory.map(|directory| directory.spec_path(store.name()));
        let installed = installed.filter(|path| {
            let is_named = named.is_none_or(|named| named == path);
            is_named && path.exists()
        });
        let path = named.or(noted.as_deref()).or(installed.as_deref());
        Self {
            spec: path.and_then(read_spec),
            is_other: matches!((&noted, named), (Some(by), Some(named)) if by != named),
            installed,
        }
    }
}

/// None where it may not be read.
fn read_spec(path: &Path) -> Option<Result<Spec, SpecError>> {
    match Spec::load(path) {
        Err(SpecError::Read { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            None
        }
        other => Some(other),
    }
}

/// The units that `portkeep install` wrote and would write differently now. Others (Nix, `portkeep dev`) are written anew
/// with each change.
fn outdated_units(
    spec: &Spec,
    which: Which,
    store: &Store,
    directory: &UnitDirectory,
) -> Vec<String> {
    let spec_path = directory.spec_path(&spec.name);
    if store.spec_path().is_some_and(|path| path != spec_path) {
        return Vec::new();
    }
    units::outdated(spec, which, directory).unwrap_or_default()
}

struct GatheredFacts {
    which: Which,
    store: Store,
    units: AppUnits,
    sockets: Vec<(String, UnitState)>,
    last: Option<HandoverRecord>,
    specs: Specs,
    directory: Option<UnitDirectory>,
    unit: Option<String>,
    helper: Option<(PathBuf, HelperFault)>,
    depth: Depth,
    stop_limits: Vec<StopLimit>,
}

impl GatheredFacts {
    fn facts(self) -> AppFacts {
        let spec = self.specs.spec.as_ref().and_then(|spec| spec.as_ref().ok());
        let bad_spec = self
            .specs
            .spec
            .as_ref()
            .and_then(|spec| spec.as_ref().err());
        // Only root can read what a system app is; nobody else is told that it is wrong.
        let executable = spec.map(executable_of);
        let bad_executable = executable.as_ref().and_then(|found| found.as_ref().err());
        let is_copied = matches!(&executable, Some(Ok(found)) if !found.runs_in_place);
        let is_full = self.depth == Depth::Full;
        let outdated = match (spec, &self.directory) {
            (Some(spec), Some(directory)) if is_full => {
                outdated_units(spec, self.which, &self.store, directory)
            }
            _ => Vec::new(),
        };
        AppFacts {
            name: self.store.name().clone(),
            which: self.which,
            bad_executable: bad_executable.map(|error| chain(error)),
            bad_spec: bad_spec.map(|error| chain(error)),
            sockets: self.socket_facts(spec),
            outdated,
            current: self.store.current(),
            generations: self.generation_facts(),
            directories: directories(&self.store, is_copied),
            instead: self.instead(spec),
            short_limits: spec
                .map(|spec| too_short(&self.stop_limits, spec))
                .unwrap_or_default(),
            taken_out: self.store.taken_out(),
            last_reason: self.last_reason(),
            helper: self.helper,
            target: self.units.target,
            handle: self.units.handle,
            unit_directory: self.directory.map(|directory| directory.path().to_owned()),
            installed_spec: self.specs.installed,
        }
    }

    fn last_reason(&self) -> Option<String> {
        let last = self.last.as_ref();
        let unsuccessful = last.filter(|record| record.result != HandoverResult::HandedOver)?;
        unsuccessful.first_clause().map(str::to_owned)
    }

    /// What serves instead of what is installed.
    fn instead(&self, spec: Option<&Spec>) -> Option<Mismatch> {
        let store = &self.store;
        if store.maintenance().is_some() {
            return Some(Mismatch::Maintenance);
        }
        let is_holding_page = store
            .current()
            .is_some_and(|one| store.is_holding_page(one));
        let comparison = match (spec, &self.unit) {
            (Some(spec), Some(unit)) => compare_to(store, spec, unit),
            _ => Comparison::Unknown,
        };
        Mismatch::of(
            self.last.as_ref(),
            is_holding_page,
            self.specs.is_other,
            comparison,
        )
    }

    fn socket_facts(&self, spec: Option<&Spec>) -> Vec<SocketFacts> {
        let listen = spec.map(Spec::ports).unwrap_or_default();
        let names = spec.map(unit_names::ports).unwrap_or_default();
        let of = |unit: &String| {
            let index = names.iter().position(|name| name == unit)?;
            listen.get(index)
        };
        let sockets = self.sockets.iter();
        sockets
            .map(|(unit, state)| socket(unit, state, of(unit), self.depth))
            .collect()
    }

    fn generation_facts(&self) -> Vec<GenerationFacts> {
        let generations = self.units.generations.iter();
        let facts = |(running, state): &(Running, UnitState)| GenerationFacts {
            generation: running.generation,
            phase: running.phase,
            is_holding_page: self.store.is_holding_page(running.generation),
            needs_daemon_reload: state.needs_daemon_reload || state.has_new_drop_in(),
            restarts: self.store.crashes(running.generation),
            open_files: (running.phase == Phase::Serving)
                .then(|| open_files(state.main_pid))
                .flatten(),
        };
        generations.map(facts).collect()
    }
}

fn socket(unit: &str, state: &UnitState, listen: Option<&Listen>, depth: Depth) -> SocketFacts {
    let loaded = state.listen.first();
    let loaded = loaded.and_then(|(kind, text)| address(kind, text));
    let wanted = listen.map(|listen| &listen.address).or(loaded.as_ref());
    let path = loaded.as_ref().and_then(Address::path);
    let missing = wanted
        .and_then(Address::ip)
        .filter(|ip| places::is_missing(*ip));
    // What all sockets and processes of the machine are read for.
    let is_full = depth == Depth::Full;
    let closed = wanted.filter(|_| is_full && state.active != "active");
    SocketFacts {
        unit: unit.to_owned(),
        state: state.clone(),
        somebody_listens: loaded
            .as_ref()
            .filter(|_| is_full)
            .and_then(port_owner::listening_at),
        lost_path: path.filter(|path| is_lost(path)).map(Path::to_owned),
        held_by: closed.and_then(|wanted| {
            let owner = port_owner::of(wanted)?;
            Some(PortOwner {
                who: owner.to_string(),
                address: wanted.to_string(),
                is_udp: matches!(wanted, Address::Udp(_)),
                is_seen: owner.pid.is_some(),
            })
        }),
        wanted: listen.map(|listen| listen.address.to_string()),
        backlog: listen
            .filter(|listen| listen.address.is_connected())
            .map(|listen| listen.backlog),
        missing_address: missing.map(|ip| (ip.ip(), places::main_interface())),
    }
}

/// Whether nobody can connect by a path: no socket is there.
fn is_lost(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(metadata) => !metadata.file_type().is_socket(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
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

/// What is wrong with the directories that handovers write to, and that releases are run from where they are copied.
fn directories(store: &Store, is_copied: bool) -> Vec<DirectoryFault> {
    let state = store.state_directory();
    let places = [(state, is_copied), (store.run_directory(), false)];
    let faults = places.into_iter().filter_map(|(directory, is_run_from)| {
        // Made by the first handover.
        let place = place_of(directory)?;
        let directory = directory.to_owned();
        if place.read_only {
            let mount = place.mount();
            Some(DirectoryFault::ReadOnly { directory, mount })
        } else if place.no_exec && is_run_from {
            let mount = place.mount();
            Some(DirectoryFault::NoExec { directory, mount })
        } else if place.free < ENOUGH_SPACE {
            let free = place.free;
            Some(DirectoryFault::Full { directory, free })
        } else {
            let untrusted = check_trusted(&directory).err()?;
            Some(DirectoryFault::Untrusted(untrusted.into()))
        }
    });
    faults.collect()
}
