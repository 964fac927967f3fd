//! Carries out a handover: performs the machine's actions against a backend and a store.

mod account;
mod request;

use std::io;
use std::time::{Duration, Instant};

use portkeep_spec::Spec;
use tokio::time::timeout_at;

pub use request::{Outcome, Request};

use crate::backend::{Backend, Blame, StartFailure};
use crate::error::EngineError;
use crate::generation::{Generation, Phase};
use crate::handover::{Action, Candidate, Event, Handover, Source, Survey};
use crate::release::{Digest, Release};
use crate::store::{Lock, Steps, Store};
use crate::take::{Look, Recipe, take};

/// How much later than the manager we give up on a start: the manager's own report is the better one.
const GRACE: Duration = Duration::from_secs(5);

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
    let begun = Instant::now();
    let waiting = store.clone();
    let lock = tokio::task::spawn_blocking(move || waiting.lock()).await;
    let lock = lock
        .map_err(io::Error::other)
        .flatten()
        .map_err(doing("take the lock"))?;
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
        taken: None,
        started: None,
        previous: store.current(),
        drained: Vec::new(),
        _lock: lock,
    };
    run.perform().await
}

/// Whether the files differ from those that the last handover looked at. Nothing is read but their state.
///
/// Files that are missing now are no difference: whoever removed them will put others there, and that is a new event.
#[must_use]
pub fn has_changed(store: &Store, spec: &Spec) -> bool {
    Look::at(spec).is_ok_and(|look| store.seen() != Some(look))
}

fn doing(doing: &'static str) -> impl Fn(io::Error) -> EngineError {
    move |source| EngineError::Store { doing, source }
}

/// One handover under way.
struct Run<'a, B> {
    backend: &'a B,
    store: &'a Store,
    spec: &'a Spec,
    request: Request,
    begun: Instant,
    steps: Steps,
    /// What the spec describes.
    taken: Option<Release>,
    /// What was started last.
    started: Option<Release>,
    previous: Option<Generation>,
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
                Action::Take => self.take().await?,
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
                    self.backend.abandon(generation).await?;
                    if blame == Blame::Release {
                        self.store
                            .mark_bad(&digest, &reason)
                            .map_err(doing("mark the release as bad"))?;
                    }
                    Event::Abandoned
                }
                Action::Switch(generation) => {
                    self.switch(generation)
                        .map_err(doing("make the generation current"))?;
                    Event::Switched {
                        serves: self.serves(generation).await,
                    }
                }
                Action::SwitchBack(generation) => {
                    self.store
                        .switch(generation)
                        .map_err(doing("make the generation current again"))?;
                    Event::SwitchedBack
                }
                Action::Drain(generations) => {
                    self.drain(generations).await;
                    Event::DrainAsked
                }
                Action::Finish(ending) => return self.finish(ending).await,
            };
        }
    }

    async fn survey(&self) -> Result<Survey, EngineError> {
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
            running,
            next,
        })
    }

    async fn take(&mut self) -> Result<Event, EngineError> {
        let begun = Instant::now();
        // Before it is taken: what changes from here on is another deploy's to see.
        if let Ok(look) = Look::at(self.spec) {
            self.store
                .note_seen(&look)
                .map_err(doing("note what was looked at"))?;
        }
        let attempt = self.store.failed_attempt();
        let known = self.known_releases();
        let (spec, store) = (self.spec.clone(), self.store.clone());
        // Copying and hashing would hold up the runtime that serves the other tasks of `portkeep dev`.
        let taken = tokio::task::spawn_blocking(move || {
            let recipe = Recipe::of(&spec, &store.base_environment());
            take(&spec, &recipe, &store, &known)
        });
        let taken = taken
            .await
            .map_err(io::Error::other)
            .map_err(doing("take the release"))?;
        self.steps.take_milliseconds = milliseconds(begun);
        let release = match taken {
            Ok(release) => release,
            Err(error) => {
                let fallback = self.store.last_good(None).map(|release| release.digest);
                return Ok(Event::Refused {
                    reason: chain(&error),
                    fallback,
                });
            }
        };
        if self.store.release(&release.digest).is_some() {
            // The same contents in other files: whoever asks next by the state of the files must find them known.
            self.store
                .keep_release(&release)
                .map_err(doing("write the release"))?;
        }
        let failed_while_waiting = attempt
            .filter(|attempt| attempt.digest == release.digest && attempt.at >= self.request.asked)
            .map(|attempt| attempt.reason);
        let candidate = Candidate {
            digest: release.digest.clone(),
            bad: self.store.is_bad(&release.digest),
            failed_while_waiting,
            fallback: self
                .store
                .last_good(Some(&release.digest))
                .map(|release| release.digest),
        };
        self.taken = Some(release);
        Ok(Event::Taken(candidate))
    }

    /// Releases that need not be read again if their files did not change: the current one, and the one that failed
    /// last.
    fn known_releases(&self) -> Vec<Release> {
        let current = self
            .previous
            .and_then(|generation| self.store.release_of(generation));
        let failed = self
            .store
            .failed_attempt()
            .and_then(|attempt| self.store.release(&attempt.digest));
        let known = current.into_iter().chain(failed);
        known
            .filter(|release| release.executable.exists())
            .collect()
    }

    async fn start(
        &mut self,
        generation: Generation,
        source: Source,
        digest: &Digest,
        deadline: Instant,
    ) -> Result<Event, EngineError> {
        let release = match source {
            Source::Taken => self.taken.clone(),
            Source::LastGood => self.store.release(digest),
        };
        let Some(release) = release else {
            let reason = format!("release {digest} is gone");
            return Ok(Event::Failed {
                reason,
                blame: Blame::Release,
            });
        };
        self.store
            .prepare(generation, &release)
            .map_err(doing("prepare the generation"))?;
        self.started = Some(release);
        let begun = Instant::now();
        let started = timeout_at(deadline.into(), self.backend.start(generation, deadline)).await;
        self.steps.start_milliseconds = milliseconds(begun);
        Ok(match started {
            Ok(Ok(Ok(()))) => Event::Ready,
            Ok(Ok(Err(failure))) => Event::Failed {
                reason: describe(&failure),
                blame: failure.blame,
            },
            Ok(Err(error)) => return Err(error.into()),
            Err(_elapsed) => Event::Failed {
                reason: format!(
                    "its manager said nothing for {:.0} s",
                    begun.elapsed().as_secs_f64()
                ),
                blame: Blame::Circumstances,
            },
        })
    }

    fn switch(&self, generation: Generation) -> io::Result<()> {
        self.store.mark_ready(generation)?;
        if let Some(release) = &self.started {
            self.store.mark_good(&release.digest)?;
        }
        self.store.switch(generation)
    }

    /// Whether a generation that is current now still lives: it may have ended between READY and the switch, when its
    /// end was nobody's to handle. Where the manager does not answer, its READY counts.
    async fn serves(&self, generation: Generation) -> bool {
        let Ok(running) = self.backend.running().await else {
            return true;
        };
        running
            .iter()
            .any(|one| one.generation == generation && one.phase != Phase::Draining)
    }

    /// The new generation serves already, so what fails here does not undo the handover; the next one drains what is
    /// left.
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
    // Microseconds are fine enough, and short to read.
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

fn describe(failure: &StartFailure) -> String {
    if failure.log.is_empty() {
        return failure.reason.clone();
    }
    let lines: String = failure
        .log
        .iter()
        .map(|line| format!("\n  | {line}"))
        .collect();
    format!("{}; its last lines:{lines}", failure.reason)
}

/// An error with all its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
