//! Carries out a handover: performs the machine's actions against a backend and a store.

use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portkeep_spec::Spec;
use tokio::time::timeout_at;

use crate::backend::{Backend, StartFailure};
use crate::error::EngineError;
use crate::generation::Generation;
use crate::handover::{
    Action, Candidate, Ending, Event, Handover, Purpose, Source, Survey, Unchanged,
};
use crate::release::{Digest, Release};
use crate::store::{FailedAttempt, HandoverRecord, Lock, Steps, Store};
use crate::take::take;

/// How much later than the manager we give up on a start: the manager's own report is the better one.
const GRACE: Duration = Duration::from_secs(5);

/// What is asked of a handover.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Who asks.
    pub purpose: Purpose,
    /// Whether an unchanged release is started again.
    pub unchanged: Unchanged,
    /// When it was asked. Handovers that end after this answer it too, where the release is the same.
    pub asked: Timestamp,
}

impl Request {
    /// A request that is made now.
    #[must_use]
    pub fn now(purpose: Purpose) -> Self {
        Self {
            purpose,
            unchanged: Unchanged::IsDone,
            asked: Timestamp::now(),
        }
    }
}

/// How a handover that did not fail ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// A new generation is current.
    HandedOver(HandoverRecord),
    /// The release was current already.
    Unchanged(Generation),
    /// The release is known to be bad and was not tried again.
    KnownBad(Digest),
}

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
    let lock = {
        let store = store.clone();
        tokio::task::spawn_blocking(move || store.lock())
            .await
            .map_err(io::Error::other)
    };
    let lock = lock.and_then(|lock| lock).map_err(doing("take the lock"))?;
    Run::new(backend, store, spec, request, begun, lock)
        .perform()
        .await
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
    /// The release that was taken, then the one that was started.
    release: Option<Release>,
    previous: Option<Generation>,
    drained: Vec<Generation>,
    _lock: Lock,
}

impl<'a, B: Backend> Run<'a, B> {
    fn new(
        backend: &'a B,
        store: &'a Store,
        spec: &'a Spec,
        request: Request,
        begun: Instant,
        lock: Lock,
    ) -> Self {
        let steps = Steps {
            lock_milliseconds: milliseconds(begun),
            ..Steps::default()
        };
        let previous = store.current();
        Self {
            backend,
            store,
            spec,
            request,
            begun,
            steps,
            release: None,
            previous,
            drained: Vec::new(),
            _lock: lock,
        }
    }

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
                    deadline,
                } => self.start(generation, source, deadline).await?,
                Action::Abandon {
                    generation,
                    digest,
                    reason,
                } => {
                    self.backend.abandon(generation).await?;
                    self.store
                        .mark_bad(&digest, &reason)
                        .map_err(doing("mark the release as bad"))?;
                    Event::Abandoned
                }
                Action::Switch(generation) => {
                    self.switch(generation)
                        .map_err(doing("make the generation current"))?;
                    Event::Switched
                }
                Action::Drain(generations) => {
                    for generation in &generations {
                        self.backend.drain(*generation).await?;
                    }
                    self.drained = generations;
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
        let current = self.previous.map(|generation| {
            (
                generation,
                self.store
                    .release_of(generation)
                    .map(|release| release.digest),
            )
        });
        let last_good = self.store.last_good().map(|release| release.digest);
        Ok(Survey {
            current,
            running,
            next,
            last_good,
        })
    }

    async fn take(&mut self) -> Result<Event, EngineError> {
        let begun = Instant::now();
        let attempt = self.store.failed_attempt();
        let known = known_releases(self.store);
        let (spec, store, base) = (
            self.spec.clone(),
            self.store.clone(),
            self.store.base_environment(),
        );
        // Copying and hashing would hold up the runtime that serves the other tasks of `portkeep dev`.
        let taken = tokio::task::spawn_blocking(move || take(&spec, &base, &store, &known))
            .await
            .map_err(io::Error::other)
            .map_err(doing("take the release"))?;
        self.steps.take_milliseconds = milliseconds(begun);
        let release = match taken {
            Ok(release) => release,
            Err(error) => return Ok(Event::Refused(chain(&error))),
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
        };
        self.release = Some(release);
        Ok(Event::Taken(candidate))
    }

    async fn start(
        &mut self,
        generation: Generation,
        source: Source,
        deadline: Instant,
    ) -> Result<Event, EngineError> {
        if source == Source::LastGood {
            self.release = self.store.last_good();
        }
        let Some(release) = &self.release else {
            return Ok(Event::Failed("its release is gone".to_owned()));
        };
        self.store
            .prepare(generation, release)
            .map_err(doing("prepare the generation"))?;
        let begun = Instant::now();
        let started = timeout_at(deadline.into(), self.backend.start(generation, deadline)).await;
        self.steps.start_milliseconds = milliseconds(begun);
        Ok(match started {
            Ok(Ok(Ok(()))) => Event::Ready,
            Ok(Ok(Err(failure))) => Event::Failed(describe(&failure)),
            Ok(Err(error)) => return Err(error.into()),
            Err(_elapsed) => Event::Failed(format!(
                "its manager said nothing until {:?} after the start",
                begun.elapsed()
            )),
        })
    }

    fn switch(&self, generation: Generation) -> io::Result<()> {
        self.store.mark_ready(generation)?;
        if let Some(release) = &self.release {
            self.store.mark_good(&release.digest)?;
        }
        self.store.switch(generation)
    }

    async fn finish(mut self, ending: Ending) -> Result<Outcome, EngineError> {
        self.steps.total_milliseconds = milliseconds(self.begun);
        let result = match ending {
            Ending::Unchanged(generation) => return Ok(Outcome::Unchanged(generation)),
            Ending::KnownBad(digest) => return Ok(Outcome::KnownBad(digest)),
            // Somebody else's failure is in the history already.
            Ending::Failed {
                generation: None,
                reason,
            } => {
                return Err(EngineError::StartFailed {
                    generation: None,
                    reason,
                });
            }
            Ending::HandedOver {
                generation,
                instead: None,
                ..
            } => Ok(self.account("handed-over", Some(generation), None)),
            Ending::HandedOver {
                generation,
                instead,
                ..
            } => Ok(self.account("fell-back", Some(generation), instead)),
            Ending::Refused(reason) => Err((
                self.account("refused", None, Some(reason.clone())),
                EngineError::Refused(reason),
            )),
            Ending::Failed { generation, reason } => {
                if let Some(release) = &self.release {
                    let digest = release.digest.clone();
                    let attempt = FailedAttempt {
                        digest,
                        at: Timestamp::now(),
                        reason: reason.clone(),
                    };
                    self.store
                        .note_failed_attempt(&attempt)
                        .map_err(doing("note the failure"))?;
                }
                let record = self.account("failed", generation, Some(reason.clone()));
                Err((record, EngineError::StartFailed { generation, reason }))
            }
        };
        let record = match &result {
            Ok(record) | Err((record, _)) => record,
        };
        self.store
            .record(record)
            .map_err(doing("write the history"))?;
        let alive = self
            .backend
            .running()
            .await?
            .into_iter()
            .map(|one| one.generation);
        let alive: Vec<_> = alive.chain(self.store.current()).collect();
        let keep = usize::try_from(self.spec.keep_generations).unwrap_or(usize::MAX);
        self.store
            .prune(keep, &alive)
            .map_err(doing("remove old releases"))?;
        result.map(Outcome::HandedOver).map_err(|(_, error)| error)
    }

    fn account(
        &self,
        result: &str,
        generation: Option<Generation>,
        reason: Option<String>,
    ) -> HandoverRecord {
        HandoverRecord {
            at: Timestamp::now(),
            purpose: self.request.purpose.as_str().to_owned(),
            result: result.to_owned(),
            generation,
            previous: self.previous,
            digest: self.release.as_ref().map(|release| release.digest.clone()),
            source: self.release.as_ref().map(|release| release.source.clone()),
            drained: self.drained.clone(),
            steps: self.steps,
            reason,
        }
    }
}

/// Releases that need not be read again if their files did not change: the current one, and the one that failed last.
fn known_releases(store: &Store) -> Vec<Release> {
    let current = store
        .current()
        .and_then(|generation| store.release_of(generation));
    let failed = store
        .failed_attempt()
        .and_then(|attempt| store.release(&attempt.digest));
    current.into_iter().chain(failed).collect()
}

/// Whether there is a release to take that is neither current nor the one that failed last. Nothing is copied or read
/// beyond the state of the files.
#[must_use]
pub fn has_changed(store: &Store, spec: &Spec) -> bool {
    crate::take::differs(spec, &store.base_environment(), &known_releases(store))
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
