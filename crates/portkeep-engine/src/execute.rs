//! Execution of a handover: carries out the machine's actions against a backend and a store.

mod cancel;
mod capture;
mod maintenance;
mod queue;
mod record;
mod release_command;
mod request;
mod start;

use std::io;
use std::time::{Duration, Instant};

use portkeep_spec::Spec;
use serde::{Deserialize, Serialize};

pub use cancel::Cancel;
pub(crate) use maintenance::note_maintenance;
pub use queue::Handovers;
pub use request::{Outcome, Request, Wanted};

use crate::backend::{Backend, Blame};
use crate::capture::FileStates;
use crate::error::EngineError;
use crate::failpoint;
use crate::generation::Generation;
use crate::handover::{Action, Event, Handover, Survey};
use crate::prerequisites::Prerequisites;
use crate::release::Release;
use crate::store::{Lock, Steps, Store};

/// Why a start was cancelled.
const GIVEN_UP: &str = "it was given up for a newer version";

/// How much later than the manager this gives up on a start: the manager's own report is better.
const GRACE: Duration = Duration::from_secs(5);

/// How much longer than a start this waits for the holder of the lock: for a capture, and the steps before and after a
/// start. The units wait longer (`TimeoutStartSec=` of the handle), so that people see our message, which names the holder.
const PATIENCE: Duration = Duration::from_secs(45);

/// Performs one handover.
///
/// # Errors
/// When nothing was handed over; what served before serves on.
pub async fn hand_over<B: Backend>(
    backend: &B,
    store: &Store,
    spec: &Spec,
    request: Request,
) -> Result<Outcome, EngineError> {
    begin(backend, store, spec, request).await?.perform().await
}

/// Takes the lock.
async fn begin<'a, B: Backend>(
    backend: &'a B,
    store: &'a Store,
    spec: &'a Spec,
    request: Request,
) -> Result<Run<'a, B>, EngineError> {
    let begun = Instant::now();
    let waiting = store.clone();
    let patience = spec.longest_start() + PATIENCE;
    let lock = tokio::task::spawn_blocking(move || waiting.lock(patience));
    let lock = tokio::select! {
        biased;
        // The thread releases a lock that it gets too late.
        () = request.cancel.asked() => return Err(given_up()),
        lock = lock => lock,
    };
    let lock = lock
        .map_err(io::Error::other)
        .map_err(doing("take the lock"))??;
    let steps = Steps {
        lock_milliseconds: milliseconds(begun),
        ..Steps::default()
    };
    let run = Run {
        backend,
        store,
        spec,
        request,
        begun,
        steps,
        captured: None,
        started: None,
        previous: store.current(),
        began_maintenance: false,
        drained: Vec::new(),
        _lock: lock,
    };
    failpoint::reach(store, "locked");
    Ok(run)
}

/// The error for a caller that has cancelled.
fn given_up() -> EngineError {
    EngineError::StartFailed {
        generation: None,
        reason: GIVEN_UP.to_owned(),
    }
}

/// Whether the files differ from those at the last handover. Only their states are read.
///
/// A missing file is no difference: its replacement will be a new event.
#[must_use]
pub fn has_changed(store: &Store, spec: &Spec) -> bool {
    Seen::now(spec).is_some_and(|now| store.seen() != Some(now))
}

/// The states of the files for a handover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    #[serde(rename = "look")]
    states: FileStates,
    #[serde(rename = "surroundings")]
    pub(crate) prerequisites: Prerequisites,
}

impl Seen {
    /// The states with secrets as of now; none if a file of the release is missing.
    fn with_secrets_of(self, now: Self) -> Self {
        Self {
            prerequisites: now.prerequisites,
            ..self
        }
    }

    fn now(spec: &Spec) -> Option<Self> {
        Some(Self {
            states: FileStates::of_spec(spec).ok()?,
            prerequisites: Prerequisites::of(spec),
        })
    }
}

pub(crate) fn doing(doing: &'static str) -> impl Fn(io::Error) -> EngineError {
    move |source| EngineError::Store { doing, source }
}

/// A handover in progress.
struct Run<'a, B> {
    backend: &'a B,
    store: &'a Store,
    spec: &'a Spec,
    request: Request,
    begun: Instant,
    steps: Steps,
    /// The release that the spec describes.
    captured: Option<Release>,
    /// The release that was started last.
    started: Option<Release>,
    previous: Option<Generation>,
    /// Whether this handover began maintenance.
    began_maintenance: bool,
    drained: Vec<Generation>,
    _lock: Lock,
}

impl<B: Backend> Run<'_, B> {
    async fn perform(mut self) -> Result<Outcome, EngineError> {
        let start_timeout = self.spec.start_timeout.0 + GRACE;
        let mut machine =
            Handover::new(self.request.purpose, self.request.unchanged, start_timeout);
        let mut event = Event::Begun;
        loop {
            event = match machine.on_event(event, Instant::now())? {
                Action::Survey => Event::Surveyed(self.survey().await?),
                Action::Capture => self.capture().await?,
                Action::Release(generation) => self.run_release_command(generation).await?,
                Action::Start {
                    generation,
                    source,
                    digest,
                    deadline,
                } => self.start(generation, source, &digest, deadline).await?,
                Action::Abandon {
                    generation,
                    digest,
                    reason,
                    blame,
                } => {
                    failpoint::reach(self.store, "failed");
                    self.backend.abandon(generation).await?;
                    self.mark_bad(&digest, &reason, blame);
                    failpoint::reach(self.store, "abandoned");
                    Event::Abandoned
                }
                Action::Switch(generation) => {
                    failpoint::reach(self.store, "ready");
                    match self.switch(generation) {
                        Ok(()) => Event::Switched {
                            serves: self.backend.serves(generation).await,
                        },
                        Err(error) => Event::Failed {
                            reason: format!("it could not be made current: {error}"),
                            blame: Blame::Circumstances,
                        },
                    }
                }
                Action::SwitchBack(generation) => {
                    self.store
                        .switch(generation)
                        .map_err(doing("make the generation current again"))?;
                    Event::SwitchedBack
                }
                Action::Drain(generations) => {
                    failpoint::reach(self.store, "switched");
                    self.drain(generations).await;
                    failpoint::reach(self.store, "drained");
                    Event::DrainAsked
                }
                Action::Finish(ending) => return self.finish(ending).await,
            };
        }
    }

    async fn survey(&mut self) -> Result<Survey, EngineError> {
        self.store.sweep();
        self.change_maintenance().await?;
        let running = self.backend.running().await?;
        let next = self
            .store
            .next_generation(running.iter().map(|one| one.generation));
        let digest = |generation| {
            self.store
                .release_of(generation)
                .map(|release| release.digest)
        };
        let current = self
            .previous
            .map(|generation| (generation, digest(generation)));
        Ok(Survey {
            current,
            has_holding_page: self.request.holding.is_some(),
            in_maintenance: self.store.maintenance().is_some(),
            running,
            next,
        })
    }

    /// The new generation serves already, so a failure here does not undo the handover; the next one drains the rest.
    async fn drain(&mut self, generations: Vec<Generation>) {
        for generation in &generations {
            if let Err(error) = self.backend.drain(*generation).await {
                tracing::warn!(
                    "generation {generation} could not be told to drain: {}",
                    chain(&error)
                );
            }
        }
        self.drained = generations;
    }
}

fn milliseconds(since: Instant) -> f64 {
    // Microseconds are precise enough, and short to read.
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// An error with all its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
