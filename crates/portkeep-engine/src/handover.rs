//! The pure machine of a handover: events in, actions out. It does no I/O and reads no clock.

mod action;
mod event;
mod purpose;

use std::time::{Duration, Instant};

pub use action::{Action, Ending, Source};
pub use event::{Candidate, Event, Survey};
pub use purpose::{Purpose, Unchanged};

use crate::generation::{Generation, Phase};
use crate::release::Digest;

#[derive(Debug)]
enum State {
    Idle,
    Surveying,
    Taking,
    Starting {
        generation: Generation,
        source: Source,
        digest: Digest,
    },
    Abandoning {
        generation: Generation,
        source: Source,
        reason: String,
    },
    Switching {
        generation: Generation,
        source: Source,
    },
    Draining(Ending),
    Over,
}

/// An event that does not fit the state: a fault in the driver.
#[derive(Debug, thiserror::Error)]
#[error("the handover got {event} while {state}")]
pub struct Misfit {
    state: String,
    event: String,
}

/// One handover.
#[derive(Debug)]
pub struct Handover {
    purpose: Purpose,
    unchanged: Unchanged,
    start_timeout: Duration,
    state: State,
    survey: Option<Survey>,
    /// Why the release that was asked for was not started.
    instead: Option<String>,
}

impl Handover {
    /// A handover that gives a generation `start_timeout` to become READY.
    #[must_use]
    pub fn new(purpose: Purpose, unchanged: Unchanged, start_timeout: Duration) -> Self {
        Self {
            purpose,
            unchanged,
            start_timeout,
            state: State::Idle,
            survey: None,
            instead: None,
        }
    }

    /// Takes an event and says what to do next.
    ///
    /// # Errors
    /// When the event does not answer the last action.
    pub fn on_event(&mut self, event: Event, now: Instant) -> Result<Action, Misfit> {
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, event) {
            (State::Idle, Event::Begun) => Ok(self.go(State::Surveying, Action::Survey)),
            (State::Surveying, Event::Surveyed(survey)) => {
                self.survey = Some(survey);
                Ok(self.go(State::Taking, Action::Take))
            }
            (State::Taking, Event::Taken(candidate)) => Ok(self.taken(candidate, now)),
            (State::Taking, Event::Refused(reason)) => Ok(self.refused(reason, now)),
            (
                State::Starting {
                    generation, source, ..
                },
                Event::Ready,
            ) => Ok(self.go(
                State::Switching { generation, source },
                Action::Switch(generation),
            )),
            (
                State::Starting {
                    generation,
                    source,
                    digest,
                },
                Event::Failed(reason),
            ) => {
                let action = Action::Abandon {
                    generation,
                    digest,
                    reason: reason.clone(),
                };
                Ok(self.go(
                    State::Abandoning {
                        generation,
                        source,
                        reason,
                    },
                    action,
                ))
            }
            (
                State::Abandoning {
                    generation,
                    source,
                    reason,
                },
                Event::Abandoned,
            ) => Ok(self.abandoned(generation, source, reason, now)),
            (State::Switching { generation, source }, Event::Switched) => {
                let ending = Ending::HandedOver {
                    generation,
                    source,
                    instead: self.instead.take(),
                };
                Ok(self.drain_others(generation, ending))
            }
            (State::Draining(ending), Event::DrainAsked) => Ok(Action::Finish(ending)),
            (state, event) => Err(Misfit {
                state: format!("{state:?}"),
                event: format!("{event:?}"),
            }),
        }
    }

    fn go(&mut self, state: State, action: Action) -> Action {
        self.state = state;
        action
    }

    /// The generation that serves now, if it does. `current` may name one that died.
    fn serving(&self) -> Option<(Generation, Option<&Digest>)> {
        let survey = self.survey.as_ref()?;
        let (generation, digest) = survey.current.as_ref()?;
        let serves = survey
            .running
            .iter()
            .any(|one| one.generation == *generation && one.phase == Phase::Serving);
        serves.then_some((*generation, digest.as_ref()))
    }

    fn taken(&mut self, candidate: Candidate, now: Instant) -> Action {
        if self.purpose != Purpose::Activate {
            if let Some((generation, Some(digest))) = self.serving()
                && *digest == candidate.digest
                && self.unchanged == Unchanged::IsDone
            {
                // Others may have been left behind by a helper that was killed.
                return self.drain_others(generation, Ending::Unchanged(generation));
            }
            if let Some(reason) = candidate.failed_while_waiting {
                return Action::Finish(Ending::Failed {
                    generation: None,
                    reason,
                });
            }
            if self.purpose == Purpose::Deploy && candidate.bad {
                return Action::Finish(Ending::KnownBad(candidate.digest));
            }
        } else if candidate.bad && self.serving().is_none() && self.last_good().is_some() {
            self.instead = Some(format!("release {} failed before", candidate.digest));
            return self.start_last_good(now);
        }
        self.start(Source::Taken, candidate.digest, now)
    }

    fn refused(&mut self, reason: String, now: Instant) -> Action {
        if self.serving().is_none() && self.last_good().is_some() {
            self.instead = Some(reason);
            return self.start_last_good(now);
        }
        Action::Finish(Ending::Refused(reason))
    }

    fn abandoned(
        &mut self,
        generation: Generation,
        source: Source,
        reason: String,
        now: Instant,
    ) -> Action {
        // While a generation serves there is nothing to rescue: it serves on.
        if self.serving().is_none() && source == Source::Taken && self.last_good().is_some() {
            self.instead = Some(reason);
            if let Some(survey) = &mut self.survey {
                survey.next = generation.next();
            }
            return self.start_last_good(now);
        }
        Action::Finish(Ending::Failed {
            generation: Some(generation),
            reason,
        })
    }

    fn last_good(&self) -> Option<Digest> {
        self.survey.as_ref()?.last_good.clone()
    }

    fn start_last_good(&mut self, now: Instant) -> Action {
        match self.last_good() {
            Some(digest) => self.start(Source::LastGood, digest, now),
            None => Action::Finish(Ending::Refused(
                "there is no release that was ever READY".to_owned(),
            )),
        }
    }

    fn start(&mut self, source: Source, digest: Digest, now: Instant) -> Action {
        let generation = self
            .survey
            .as_ref()
            .map_or(Generation(1), |survey| survey.next);
        let action = Action::Start {
            generation,
            source,
            deadline: now + self.start_timeout,
        };
        self.go(
            State::Starting {
                generation,
                source,
                digest,
            },
            action,
        )
    }

    /// *All* others, not only the previous one: a helper that was killed may have left more than that. Also those that
    /// are ending: after a crash that would be before a restart, and to be asked twice does no harm.
    fn drain_others(&mut self, keep: Generation, ending: Ending) -> Action {
        let others: Vec<_> = self
            .survey
            .iter()
            .flat_map(|survey| &survey.running)
            .filter(|one| one.generation != keep)
            .map(|one| one.generation)
            .collect();
        if others.is_empty() {
            return Action::Finish(ending);
        }
        self.go(State::Draining(ending), Action::Drain(others))
    }
}

#[cfg(test)]
mod tests;
