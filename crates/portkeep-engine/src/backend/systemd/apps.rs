//! Units of many apps in few calls: one list of all units, then only the wanted properties, in parallel.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use portkeep_spec::{AppName, unit_names};
use tokio::sync::Semaphore;
use zbus::{OwnedObjectPath, OwnedVariant};

use super::manager::{Manager, ManagerError};
use super::phase_of;
use super::unit_state::UnitState;
use crate::generation::{Generation, Phase, Running};
use crate::store::Store;

/// Number of concurrent calls. The bus allows a connection 128, and refuses more.
const QUESTIONS: usize = 32;
/// Number of units that are read concurrently, each with some calls.
const AT_ONCE: usize = 16;
/// All kinds of an app's units.
const KINDS: [&str; 3] = ["*.target", "*.socket", "*.service"];

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const SOCKET: &str = "org.freedesktop.systemd1.Socket";

/// A property, by its interface and its name.
type Property = (&'static str, &'static str);

/// systemd searches directories for these, which takes ten times as long as others.
const BY_SEARCH: [Property; 2] = [(UNIT, "NeedDaemonReload"), (UNIT, "UnitFileState")];

const OF_TARGET: [Property; 0] = [];
const OF_HANDLE: [Property; 2] = [(UNIT, "TriggeredBy"), (SERVICE, "ExecStart")];
const OF_SOCKET: [Property; 1] = [(SOCKET, "Listen")];
const OF_GENERATION: [Property; 8] = [
    (UNIT, "FragmentPath"),
    (UNIT, "DropInPaths"),
    (UNIT, "InactiveExitTimestamp"),
    (UNIT, "ActiveEnterTimestamp"),
    (SERVICE, "MainPID"),
    (SERVICE, "StatusText"),
    (SERVICE, "MemoryCurrent"),
    (SERVICE, "CPUUsageNSec"),
];
/// Identifies this run.
const OF_RUN: [Property; 1] = [(UNIT, "InvocationID")];
/// For a draining one.
const OF_DRAIN: [Property; 2] = [(UNIT, "ActiveExitTimestamp"), (SERVICE, "TimeoutStopUSec")];
/// For a socket that is not open.
const OF_FAILURE: [Property; 1] = [(SOCKET, "Result")];
/// For a socket, with all properties.
const OF_FILE: [Property; 1] = [(UNIT, "FragmentPath")];

/// Extent of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What is quick, for a hundred apps at once.
    Quick,
    /// The same, and the identity of a generation's run, for counting.
    Runs,
    /// Everything.
    Full,
}

/// The units of one app.
#[derive(Debug, Clone)]
pub struct AppUnits {
    /// The app as a whole.
    pub target: UnitState,
    /// The unit that people start, reload and stop.
    pub handle: UnitState,
    /// Its sockets by name, in order, the move socket last.
    pub sockets: Vec<(String, UnitState)>,
    /// Its generations, oldest first.
    pub generations: Vec<(Running, UnitState)>,
}

/// The loaded units.
#[derive(Debug)]
struct Loaded {
    units: HashMap<String, (UnitState, OwnedObjectPath)>,
    /// Permits for calls.
    turns: Semaphore,
    depth: Depth,
}

impl Manager {
    /// The units of apps, in the order of `stores`.
    ///
    /// # Errors
    /// When the manager does not answer.
    pub async fn units_of(
        &self,
        stores: &[Store],
        depth: Depth,
    ) -> Result<Vec<AppUnits>, ManagerError> {
        let loaded = self.loaded(depth).await?;
        let apps = stores.iter().map(|store| self.units_of_app(&loaded, store));
        let apps: Vec<_> = stream::iter(apps).buffered(AT_ONCE).collect().await;
        apps.into_iter().collect()
    }

    async fn loaded(&self, depth: Depth) -> Result<Loaded, ManagerError> {
        let units = self.list_with_paths(&KINDS).await?;
        let units = units
            .into_iter()
            .map(|(unit, state, path)| (unit, (state, path)));
        Ok(Loaded {
            units: units.collect(),
            turns: Semaphore::new(QUESTIONS),
            depth,
        })
    }

    async fn units_of_app(&self, loaded: &Loaded, store: &Store) -> Result<AppUnits, ManagerError> {
        let name = store.name();
        let handle = unit_names::handle(name);
        let handle = self.known(loaded, &handle, &OF_HANDLE).await?;
        let target = unit_names::target(name);
        let target = self.known(loaded, &target, &OF_TARGET).await?;
        let sockets = sockets_of(name, &handle, loaded);
        let asked = sockets.into_iter().map(|unit| async move {
            let more = match (loaded.depth, loaded.active(&unit)) {
                (Depth::Full, _) => [&OF_FAILURE[..], &OF_FILE].concat(),
                (Depth::Quick | Depth::Runs, Some("failed")) => OF_FAILURE.to_vec(),
                (Depth::Quick | Depth::Runs, _) => Vec::new(),
            };
            let wanted = [&OF_SOCKET[..], &more].concat();
            let state = self.known(loaded, &unit, &wanted).await?;
            Ok::<_, ManagerError>((unit, state))
        });
        let sockets = together(asked).await?;
        let asked = loaded
            .generations_of(store)
            .into_iter()
            .map(|(running, unit)| async move {
                let more = match running.phase {
                    Phase::Draining => &OF_DRAIN[..],
                    Phase::Starting | Phase::Serving => &[],
                };
                let run = match loaded.depth {
                    Depth::Runs | Depth::Full => &OF_RUN[..],
                    Depth::Quick => &[],
                };
                let wanted = [&OF_GENERATION[..], more, run].concat();
                let state = self.known(loaded, &unit, &wanted).await?;
                Ok::<_, ManagerError>((running, state))
            });
        let generations = together(asked).await?;
        Ok(AppUnits {
            target,
            handle,
            sockets,
            generations,
        })
    }

    /// A unit with these properties. A unit that is not loaded is loaded, with all properties.
    async fn known(
        &self,
        loaded: &Loaded,
        unit: &str,
        wanted: &[Property],
    ) -> Result<UnitState, ManagerError> {
        let Some((state, path)) = loaded.units.get(unit) else {
            let _turn = loaded.turns.acquire().await;
            return self.state(unit).await;
        };
        let more = match loaded.depth {
            Depth::Quick | Depth::Runs => &[][..],
            Depth::Full => &BY_SEARCH,
        };
        let asked = wanted
            .iter()
            .chain(more)
            .map(|(interface, name)| async move {
                let _turn = loaded.turns.acquire().await;
                let value = self.property(path, interface, name).await?;
                Ok::<_, ManagerError>(((*name).to_owned(), value))
            });
        let properties: HashMap<String, OwnedVariant> =
            together(asked).await?.into_iter().collect();
        Ok(UnitState {
            load: state.load.clone(),
            active: state.active.clone(),
            sub: state.sub.clone(),
            job: state.job,
            ..UnitState::of(properties)
        })
    }
}

impl Loaded {
    /// systemd's word for the state of a unit.
    fn active(&self, unit: &str) -> Option<&str> {
        let (state, _) = self.units.get(unit)?;
        Some(&state.active)
    }

    fn generations_of(&self, store: &Store) -> Vec<(Running, String)> {
        let holding = unit_names::holding(store.name());
        let mut found: Vec<_> = self
            .units
            .iter()
            .filter_map(|(unit, (state, _))| {
                let generation = if *unit == holding {
                    store.holding_generation().unwrap_or(Generation(0))
                } else {
                    Generation(unit_names::parse_generation(store.name(), unit)?)
                };
                let phase = phase_of(state)?;
                Some((Running { generation, phase }, unit.clone()))
            })
            .collect();
        found.sort_unstable_by_key(|(running, _)| running.generation);
        found
    }
}

/// The sockets that start the handle, and those with a service of their own: the health sockets and the move socket.
fn sockets_of(name: &AppName, handle: &UnitState, loaded: &Loaded) -> Vec<String> {
    let first = unit_names::socket(name);
    let mut others = handle.sockets.clone();
    others.retain(|unit| *unit != first);
    others.sort_unstable();
    // If the app answers the health sockets itself, the handle has them.
    let mut health: Vec<_> = loaded
        .units
        .keys()
        .filter(|unit| unit_names::is_health_socket(name, unit) && !others.contains(unit))
        .cloned()
        .collect();
    health.sort_unstable();
    let moving = unit_names::move_socket(name);
    let moving = loaded.units.contains_key(&moving).then_some(moving);
    let others = others.into_iter().chain(health);
    [first].into_iter().chain(others).chain(moving).collect()
}

async fn together<T, E>(
    asked: impl Iterator<Item = impl Future<Output = Result<T, E>>>,
) -> Result<Vec<T>, E> {
    let answers: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    answers.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_in_their_order() {
        let name: AppName = "hello".parse().unwrap();
        let state = |sockets: &[&str]| UnitState {
            sockets: sockets.iter().map(|&unit| unit.to_owned()).collect(),
            ..UnitState::default()
        };
        let path = || OwnedObjectPath::try_from("/a").unwrap();
        let moving = (
            "hello-move.socket".to_owned(),
            (UnitState::default(), path()),
        );
        let of = |units| Loaded {
            units,
            turns: Semaphore::new(1),
            depth: Depth::Quick,
        };
        let loaded = of(HashMap::from([moving]));
        let handle = state(&["hello-b.socket", "hello.socket", "hello-a.socket"]);
        let units = [
            "hello.socket",
            "hello-a.socket",
            "hello-b.socket",
            "hello-move.socket",
        ];
        assert_eq!(sockets_of(&name, &handle, &loaded), units);
        let none = of(HashMap::new());
        assert_eq!(sockets_of(&name, &state(&[]), &none), ["hello.socket"]);
    }
}
