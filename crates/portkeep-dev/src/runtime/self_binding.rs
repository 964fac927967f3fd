//! An app that opens its port itself: nobody can hold that for it, and two versions cannot run at once. So the old one is
//! stopped before the new one starts, once that is built and checked; if the new one does not come up, the old one returns.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex as Shared, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use portkeep_engine::backend::{Blame, StartFailure};
use portkeep_engine::handover::{HandoverId, Purpose};
use portkeep_engine::store::{HandoverRecord, HandoverResult, Steps};
use portkeep_engine::{Generation, Outcome, Place, Store, accepts};
use portkeep_spec::{Spec, contract};
use tokio::io::AsyncRead;
use tokio::process::Command;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};

use super::handing_over::HandingOver;
use super::lock::DevLock;
use super::publish::no_executable;
use super::{environment, leftovers};
use crate::event::{Event, SessionEvent};
use crate::host::Host;
use crate::lines::Lines;
use crate::pages;
use crate::process::{End, Process};
use crate::project::Project;
use crate::unread::Unread;

/// How many lines of a version that did not come up are told.
const LAST_LINES: usize = 8;
/// How long after the end of a process its last lines are waited for: something it started may have kept the other side
/// open.
const LAST_LINES_DEADLINE: Duration = Duration::from_millis(100);

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
    environment: std::collections::BTreeMap<String, String>,
    /// Where executables are kept, so that the next build does not take them away.
    kept: PathBuf,
    running: Mutex<Running>,
    /// The generation that runs; told without waiting for a handover.
    serves: Arc<Shared<Option<Generation>>>,
    events: mpsc::UnboundedSender<Event>,
    unread: Unread,
}

#[derive(Debug, Default)]
struct Running {
    number: u64,
    process: Option<Process>,
    executable: Option<PathBuf>,
}

impl SelfBindingSession {
    pub(super) fn open(
        project: &Project,
        host: &dyn Host,
        events: mpsc::UnboundedSender<Event>,
    ) -> anyhow::Result<Self> {
        let spec = project.spec.clone();
        let store = host.store(&spec.name, Place::Local)?;
        let lock = DevLock::take(store.run_directory(), spec.name.as_str())?;
        let kept = store.state_directory().join("build");
        std::fs::create_dir_all(&kept)
            .with_context(|| format!("cannot make {}", kept.display()))?;
        let socket = pages::socket_path(store.run_directory());
        let mut notices = project.notices.clone();
        let app = App {
            environment: environment::of_generations(project, &socket, &mut notices),
            spec,
            kept,
            running: Mutex::default(),
            serves: Arc::default(),
            events,
            unread: Unread::default(),
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
        *self
            .app
            .serves
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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

    fn replace(&self, executable: Option<PathBuf>, id: &HandoverId) -> HandingOver {
        let (app, id) = (self.app.clone(), id.clone());
        Box::pin(async move { app.replace(executable, id).await })
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        let mut running = self.app.running.lock().await;
        self.app.stop(&mut running).await;
        leftovers::remove(&self.store)
    }
}

impl App {
    /// Ends what runs and starts `executable`, or what ran before once more.
    async fn replace(
        &self,
        executable: Option<PathBuf>,
        id: HandoverId,
    ) -> anyhow::Result<Outcome> {
        let mut running = self.running.lock().await;
        let begun = Instant::now();
        let is_alive = running.process.as_ref().is_some_and(Process::is_alive);
        let next = match executable {
            Some(built) => {
                let is_same = running
                    .executable
                    .as_deref()
                    .is_some_and(|current| is_same(current, &built));
                if is_same && is_alive {
                    return Ok(Outcome::Unchanged(Generation(running.number)));
                }
                self.keep(&built, running.number + 1)?
            }
            None => running.executable.clone().ok_or_else(no_executable)?,
        };
        let previous = running.executable.clone();
        self.stop(&mut running).await;
        let stopped = Instant::now();
        match self.start(&mut running, &next).await {
            Ok(()) => {
                if let Some(previous) = previous.filter(|previous| *previous != next) {
                    let _ = std::fs::remove_file(previous);
                }
                Ok(Outcome::HandedOver(record(&running, id, begun, stopped)))
            }
            Err(error) => {
                if let Some(previous) = previous {
                    self.start(&mut running, &previous)
                        .await
                        .context("the version before does not start any more either")?;
                }
                Err(error)
            }
        }
    }

    fn keep(&self, built: &Path, number: u64) -> anyhow::Result<PathBuf> {
        let kept = self.kept.join(format!("{}-{number}", self.spec.name));
        let _ = std::fs::remove_file(&kept);
        if std::fs::hard_link(built, &kept).is_err() {
            std::fs::copy(built, &kept)
                .with_context(|| format!("cannot keep {}", built.display()))?;
        }
        Ok(kept)
    }

    async fn start(&self, running: &mut Running, executable: &Path) -> anyhow::Result<()> {
        running.number += 1;
        let generation = Generation(running.number);
        let mut command = Command::new(executable);
        // As for any generation: they speak of us, or of sockets that are not its.
        for name in contract::NOT_INHERITED {
            command.env_remove(name);
        }
        command
            .args(self.spec.exec.iter().skip(1))
            .envs(&self.environment)
            .envs(&self.spec.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(directory) = &self.spec.files_from {
            // Nothing is captured of what runs where it was built.
            command
                .current_dir(directory)
                .env(contract::PORTKEEP_RELEASE_DIR, directory);
        }
        if let Some(directory) = &self.spec.working_directory {
            command.current_dir(directory);
        }
        let (mut process, stdout, stderr) = Process::start(command)
            .with_context(|| format!("cannot start {}", executable.display()))?;
        let lines = Arc::default();
        let followers = [
            self.follow(generation, stdout, &lines),
            self.follow(generation, stderr, &lines),
        ];
        let mut end = process.end();
        let came_up = tokio::select! {
            status = end.come() => Err(anyhow!("it ended before it accepted connections ({})", told(status))),
            up = timeout(*self.spec.start_timeout, accepts(process.id())) => {
                match up {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(anyhow!("it ended before it accepted connections")),
                    Err(_) => Err(anyhow!("it accepted no connection for {}", self.spec.start_timeout)),
                }
            }
        };
        if let Err(error) = came_up {
            process.stop(*self.spec.drain_timeout).await;
            let until = tokio::time::Instant::now() + LAST_LINES_DEADLINE;
            for follower in followers.into_iter().flatten() {
                let _ = timeout_at(until, follower).await;
            }
            let lines: VecDeque<String> =
                std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
            let failure = StartFailure {
                reason: error.to_string(),
                cause: None,
                said: None,
                blame: Blame::Release,
                log: lines.into(),
            };
            return Err(anyhow!(failure.describe()));
        }
        running.process = Some(process);
        running.executable = Some(executable.to_owned());
        *self.serves.lock().unwrap_or_else(PoisonError::into_inner) = Some(generation);
        self.tell_of_end(generation, end);
        Ok(())
    }

    async fn stop(&self, running: &mut Running) {
        // First, so that its end is none to tell of.
        *self.serves.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(mut process) = running.process.take() {
            process.stop(*self.spec.drain_timeout).await;
        }
    }

    /// Nobody asked for an end that comes while it serves. It is not started again by itself: it may have done what it is for.
    fn tell_of_end(&self, generation: Generation, mut end: End) {
        let (serves, events) = (self.serves.clone(), self.events.clone());
        tokio::spawn(async move {
            let status = end.come().await;
            let mut serves = serves.lock().unwrap_or_else(PoisonError::into_inner);
            if *serves == Some(generation) {
                *serves = None;
                let why = format!(
                    "it ended ({}); the next change starts it again, or r",
                    told(status)
                );
                let _ = events.send(Event::Session(SessionEvent::Gone(generation, why)));
            }
        });
    }

    /// Tells and keeps what it writes, until nobody has the other end.
    fn follow(
        &self,
        generation: Generation,
        stream: Option<impl AsyncRead + Unpin + Send + 'static>,
        last: &Arc<Shared<VecDeque<String>>>,
    ) -> Option<JoinHandle<()>> {
        let stream = stream?;
        let (events, last) = (self.events.clone(), last.clone());
        let unread = self.unread.clone();
        Some(tokio::spawn(async move {
            let mut lines = Lines::of(stream);
            while let Ok(Some(line)) = lines.next().await {
                {
                    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                    if last.len() == LAST_LINES {
                        last.pop_front();
                    }
                    last.push_back(line.clone());
                }
                if unread.add(generation, line)
                    && events.send(Event::Unread(unread.clone())).is_err()
                {
                    break;
                }
            }
        }))
    }
}

/// cargo makes a new file for a new build; a link of ours is the same file.
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((
            metadata.dev(),
            metadata.ino(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        ))
    };
    identity(one).is_some_and(|found| identity(other) == Some(found))
}

fn told(status: Option<ExitStatus>) -> String {
    status.map_or_else(
        || "nobody knows how".to_owned(),
        |status| status.to_string(),
    )
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
        source: running.executable.clone(),
        drained: Vec::new(),
        steps: Steps {
            start_milliseconds: milliseconds(stopped),
            total_milliseconds: milliseconds(begun),
            ..Steps::default()
        },
        reason: None,
    }
}
