//! Session of a self-binding app. Nobody can hold its port for it, and two versions cannot listen at once. So the old version
//! is told to end once the new one is built and checked. The new one starts as soon as the port is free, which is before the
//! old one has finished its requests. If the new one does not come up, the old one returns.

mod port;
mod version;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Shared, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use portkeep_engine::handover::{HandoverId, Purpose};
use portkeep_engine::process::Children;
use portkeep_engine::store::{HandoverRecord, HandoverResult, Steps};
use portkeep_engine::{Generation, Outcome, Place, Store, says_in_use};
use portkeep_spec::{Address, Spec};
use tokio::sync::{Mutex, mpsc};

use self::version::{Starting, Version, is_cut};
use super::handing_over::HandingOver;
use super::lock::DevLock;
use super::publish::no_executable;
use super::version_names::{Named, VersionNames, is_same};
use super::{environment, leftovers};
use crate::event::{Event, SessionEvent};
use crate::host::Host;
use crate::input::InputRelay;
use crate::pages;
use crate::project::{Project, Runner};
use crate::terminal::Signals;
use crate::unread_lines::UnreadLines;

/// Number of addresses that are checked to find the owner of an address in use.
const ADDRESSES: usize = 16;

#[derive(Debug)]
pub(crate) struct SelfBindingSession {
    app: Arc<App>,
    notices: Vec<String>,
    store: Store,
    _lock: DevLock,
}

#[derive(Debug)]
struct App {
    spec: Spec,
    environment: Shared<BTreeMap<String, String>>,
    /// Directory of kept executables, which the next build does not remove.
    kept: PathBuf,
    /// Names beside the build: an app may look for files relative to its executable.
    beside: VersionNames,
    runner: Vec<OsString>,
    children: Children,
    running: Mutex<Running>,
    serves: Arc<Shared<Serving>>,
    host: Arc<dyn Host>,
    events: mpsc::UnboundedSender<Event>,
    unread: UnreadLines,
    feed: Option<InputRelay>,
}

/// Facts about the app that need no wait for a handover.
#[derive(Debug, Default)]
struct Serving {
    /// The running generation.
    generation: Option<Generation>,
    /// Where it listens, or listened last.
    addresses: Vec<Address>,
    /// Where earlier versions listened.
    before: Vec<Address>,
}

#[derive(Debug, Default)]
struct Running {
    number: u64,
    version: Option<Version>,
    /// Replaced versions, which finish their requests.
    draining: Vec<Version>,
    /// The executable that came up last.
    executable: Option<Kept>,
    /// Its environment.
    environment: BTreeMap<String, String>,
}

/// A kept executable.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    path: PathBuf,
    /// Its name beside the build.
    beside: Option<Named>,
}

impl Kept {
    /// The path to run: beside the build, as long as that is the same file.
    fn runs_at(&self) -> &Path {
        let beside = self.beside.as_ref().filter(|named| named.holds());
        beside.map_or(&self.path, |named| &named.path)
    }
}

impl Serving {
    fn note(&mut self, addresses: &[Address]) {
        addresses.clone_into(&mut self.addresses);
        for address in addresses {
            self.before.retain(|one| one != address);
            self.before.insert(0, address.clone());
        }
        // An app that takes any free port has another one each time.
        self.before.truncate(ADDRESSES);
    }
}

impl SelfBindingSession {
    pub(super) async fn open(
        project: &Project,
        host: Arc<dyn Host>,
        events: mpsc::UnboundedSender<Event>,
        feed: Option<InputRelay>,
    ) -> anyhow::Result<Self> {
        let spec = project.spec.clone();
        let store = host.store(&spec.name, Place::Local)?;
        let lock = DevLock::take(store.run_directory(), spec.name.as_str())?;
        let mut notices = project.notices.clone();
        notices.extend(leftovers::end(&store).await);
        let kept = store.state_directory().join("build");
        std::fs::create_dir_all(&kept)
            .with_context(|| format!("cannot make {}", kept.display()))?;
        let socket = pages::socket_path(store.run_directory());
        notices.extend(project.runner.as_ref().map(Runner::told));
        let app = App {
            beside: VersionNames::of(&spec),
            runner: project
                .runner
                .as_ref()
                .map(Runner::words)
                .unwrap_or_default(),
            environment: Shared::new(environment::of_generations(project, &socket, &mut notices)),
            spec,
            kept,
            children: Children::of(&store),
            running: Mutex::default(),
            serves: Arc::default(),
            host,
            events,
            unread: UnreadLines::default(),
            feed,
        };
        Ok(Self {
            app: Arc::new(app),
            notices,
            store,
            _lock: lock,
        })
    }

    pub(super) fn spec(&self) -> &Spec {
        &self.app.spec
    }

    pub(super) fn notices(&self) -> &[String] {
        &self.notices
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn serves(&self) -> Option<Generation> {
        self.app.serving(|serving| serving.generation)
    }

    /// Where the app listens, or listened last.
    pub(super) fn addresses(&self) -> Vec<Address> {
        self.app.serving(|serving| serving.addresses.clone())
    }

    pub(super) fn hand_over(
        &self,
        executable: Option<PathBuf>,
        id: &HandoverId,
    ) -> anyhow::Result<HandingOver> {
        let executable = executable.ok_or_else(no_executable)?;
        Ok(self.replace(Some(executable), id))
    }

    pub(super) fn start_again(&self, id: &HandoverId) -> HandingOver {
        self.replace(None, id)
    }

    /// Later starts get this environment.
    pub(super) fn set_environment(&self, environment: BTreeMap<String, String>) {
        let mut known = self
            .app
            .environment
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = environment;
    }

    fn replace(&self, executable: Option<PathBuf>, id: &HandoverId) -> HandingOver {
        let (app, id) = (self.app.clone(), id.clone());
        Box::pin(async move { app.replace(executable, id).await })
    }

    /// Ends the app; a second signal kills draining versions.
    pub(super) async fn close(self, signals: &mut Signals) -> anyhow::Result<()> {
        let mut running = self.app.running.lock().await;
        self.app.serving(|serving| serving.generation = None);
        let all: Vec<_> = running
            .version
            .take()
            .into_iter()
            .chain(running.draining.drain(..))
            .collect();
        for version in &all {
            version.process.begin_to_stop(*self.app.spec.drain_timeout);
        }
        for version in &all {
            let mut end = version.process.end();
            loop {
                tokio::select! {
                    _ = end.come() => break,
                    () = signals.stop_at_once() => all.iter().for_each(|one| one.process.kill()),
                }
            }
        }
        self.app.beside.remove();
        leftovers::remove(&self.store)
    }
}

impl App {
    fn serving<T>(&self, look: impl FnOnce(&mut Serving) -> T) -> T {
        look(&mut self.serves.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let environment = self.environment.lock();
        environment.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, event: SessionEvent) {
        // Nobody receives any more: this process is ending.
        let _ = self.events.send(Event::Session(event));
    }

    /// Ends the running version and starts `executable`, or starts the last version again.
    async fn replace(
        &self,
        executable: Option<PathBuf>,
        id: HandoverId,
    ) -> anyhow::Result<Outcome> {
        let mut running = self.running.lock().await;
        let begun = Instant::now();
        let version = running.version.as_ref();
        let is_alive = version.is_some_and(|version| version.process.is_alive());
        let previous = running.executable.clone();
        let next = match executable {
            Some(built) => {
                let is_same = previous
                    .as_ref()
                    .is_some_and(|current| is_same(current.runs_at(), &built));
                if is_same && is_alive && running.environment == self.environment() {
                    return Ok(Outcome::Unchanged(Generation(running.number)));
                }
                self.keep(&built, running.number + 1)?
            }
            None => previous.clone().ok_or_else(no_executable)?,
        };
        self.retire(&mut running).await;
        let stopped = Instant::now();
        match self.start_where_free(&mut running, &next).await {
            Ok(()) => {
                if let Some(previous) = previous.filter(|previous| *previous != next) {
                    let _ = std::fs::remove_file(previous.path);
                }
                Ok(Outcome::HandedOver(record(&running, id, begun, stopped)))
            }
            Err(error) => {
                if let Some(previous) = previous {
                    self.start_where_free(&mut running, &previous)
                        .await
                        .context("the version before does not start any more either")?;
                }
                Err(error)
            }
        }
    }

    fn keep(&self, built: &Path, number: u64) -> anyhow::Result<Kept> {
        let beside = self.beside.name(built).ok();
        let built = beside.as_ref().map_or(built, |named| &named.path);
        let kept = self.kept.join(format!("{}-{number}", self.spec.name));
        let _ = std::fs::remove_file(&kept);
        if std::fs::hard_link(built, &kept).is_err() {
            std::fs::copy(built, &kept)
                .with_context(|| format!("cannot keep {}", built.display()))?;
        }
        Ok(Kept { path: kept, beside })
    }

    /// Tells the running version to end, and waits until it no longer listens. It still finishes its requests.
    async fn retire(&self, running: &mut Running) {
        // First, so that its end is not reported.
        self.serving(|serving| serving.generation = None);
        running.draining.retain(|one| one.process.is_alive());
        let Some(version) = running.version.take() else {
            return;
        };
        let patience = *self.spec.drain_timeout;
        let holds = |addresses, limit| {
            self.tell(SessionEvent::HoldsPort {
                generation: version.generation,
                addresses,
                limit,
            });
        };
        port::release(&version, patience, holds).await;
        if version.process.is_alive() {
            self.tell_of_drain(&version);
            running.draining.push(version);
        }
    }

    /// Starts a version. If a draining version's connections keep the address in use, that version is killed.
    async fn start_where_free(
        &self,
        running: &mut Running,
        executable: &Kept,
    ) -> anyhow::Result<()> {
        let first = self.start(running, executable).await;
        let Err(failure) = first else { return Ok(()) };
        running.draining.retain(|one| one.process.is_alive());
        if !failure.log.iter().any(|line| says_in_use(line)) {
            return Err(anyhow!(version::describe(failure, None)));
        }
        if running.draining.is_empty() {
            let mut known = self.serving(|serving| serving.before.clone());
            known.extend(self.spec.listen.iter().map(|listen| listen.address.clone()));
            let reason = port::who_holds(&failure.log, &known, &*self.host);
            return Err(anyhow!(version::describe(failure, reason)));
        }
        for version in running.draining.drain(..) {
            self.tell(SessionEvent::HoldsPort {
                generation: version.generation,
                addresses: port::addresses(&version.sockets),
                limit: Duration::ZERO,
            });
            version.process.stop(Duration::ZERO).await;
        }
        let second = self.start(running, executable).await;
        second.map_err(|failure| anyhow!(version::describe(failure, None)))
    }

    async fn start(
        &self,
        running: &mut Running,
        executable: &Kept,
    ) -> Result<(), portkeep_engine::StartFailure> {
        running.number += 1;
        let generation = Generation(running.number);
        let environment = self.environment();
        let starting = Starting {
            spec: &self.spec,
            environment: &environment,
            children: &self.children,
            unread: &self.unread,
            events: &self.events,
            feed: self.feed.as_ref(),
            runner: &self.runner,
        };
        let version = starting.start(generation, executable.runs_at()).await?;
        let addresses = port::addresses(&version.sockets);
        self.serving(|serving| {
            serving.generation = Some(generation);
            serving.note(&addresses);
        });
        self.tell(SessionEvent::Opened(addresses));
        self.tell_of_end(&version);
        running.version = Some(version);
        running.executable = Some(executable.clone());
        running.environment = environment;
        Ok(())
    }

    /// An end that nobody requested, while it serves. The app is not started again by itself: it may have done its work.
    fn tell_of_end(&self, version: &Version) {
        let (serves, events) = (self.serves.clone(), self.events.clone());
        let (generation, mut end) = (version.generation, version.process.end());
        tokio::spawn(async move {
            let status = end.come().await;
            let mut serves = serves.lock().unwrap_or_else(PoisonError::into_inner);
            if serves.generation == Some(generation) {
                serves.generation = None;
                let why = format!(
                    "it ended ({}); the next change starts it again, or r",
                    version::told(status)
                );
                let _ = events.send(Event::Session(SessionEvent::Gone(generation, why)));
            }
        });
    }

    /// It was replaced, and ended when it had finished, or at its deadline.
    fn tell_of_drain(&self, version: &Version) {
        let (generation, mut end) = (version.generation, version.process.end());
        let events = self.events.clone();
        tokio::spawn(async move {
            let event = match is_cut(end.come().await) {
                true => SessionEvent::Cut(generation, String::new()),
                false => SessionEvent::Drained(generation, String::new()),
            };
            let _ = events.send(Event::Session(event));
        });
    }
}

fn record(running: &Running, id: HandoverId, begun: Instant, stopped: Instant) -> HandoverRecord {
    let generation = Generation(running.number);
    let milliseconds = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    HandoverRecord {
        at: Timestamp::now(),
        id,
        purpose: Purpose::Reload,
        result: HandoverResult::HandedOver,
        generation: Some(generation),
        previous: None,
        digest: None,
        label: None,
        source: running.executable.as_ref().map(|kept| kept.path.clone()),
        drained: Vec::new(),
        steps: Steps {
            start_milliseconds: milliseconds(stopped),
            total_milliseconds: milliseconds(begun),
            ..Steps::default()
        },
        reason: None,
    }
}
