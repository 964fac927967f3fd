//! State machine of a handover. Pure: events in, actions out; no I/O and no clock.

mod action;
mod event;
mod id;
mod purpose;

use std::time::{Duration, Instant};

pub use action::{Action, Ending, Source};
pub use event::{Candidate, Event, Survey};
pub use id::HandoverId;
pub use purpose::{Purpose, Unchanged};

use crate::backend::Blame;
use crate::generation::{Generation, Phase};
use crate::release::Digest;

#[derive(Debug)]
enum State {
    Idle,
    Surveying,
    Capturing,
    Releasing(Started),
    Starting(Started),
    Abandoning(Abandoned),
    Switching(Started),
    SwitchingBack(Ending),
    Draining(Ending),
    Over,
}

/// Whether a generation that is abandoned had become current before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WasCurrent {
    Yes,
    No,
}

/// A generation that failed and is being ended.
#[derive(Debug)]
struct Abandoned {
    started: Started,
    reason: String,
    blame: Blame,
    was_current: WasCurrent,
}

/// A generation that was started, with its release.
#[derive(Debug, Clone)]
struct Started {
    generation: Generation,
    source: Source,
    digest: Digest,
}

/// An event that does not fit the state: a bug in the caller.
#[derive(Debug, thiserror::Error)]
#[error("the handover got {event} while {state}")]
pub struct UnexpectedEvent {
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
    /// The release to start if the requested one cannot be.
    fallback: Option<Digest>,
    /// Why the requested release was not started.
    instead: Option<String>,
    /// Whether the captured release has a release command that has not succeeded yet.
    has_release_command: bool,
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
            fallback: None,
            instead: None,
            has_release_command: false,
        }
    }

    /// Takes an event, and returns the next action.
    ///
    /// # Errors
    /// When the event does not answer the last action.
    pub fn on_event(&mut self, event: Event, now: Instant) -> Result<Action, UnexpectedEvent> {
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, event) {
            (State::Idle, Event::Begun) => Ok(self.go(State::Surveying, Action::Survey)),
            (State::Surveying, Event::Surveyed(survey)) => {
                let in_maintenance = survey.in_maintenance;
                self.survey = Some(survey);
                match in_maintenance.then(|| self.in_maintenance(now)).flatten() {
                    Some(action) => Ok(action),
                    None => Ok(self.go(State::Capturing, Action::Capture)),
                }
            }
            (State::Capturing, Event::Captured(candidate)) => Ok(self.taken(candidate, now)),
            (State::Capturing, Event::Refused { reason, fallback }) => {
                self.fallback = fallback;
                Ok(self.refused(reason, now))
            }
            (State::Releasing(started), Event::Released) => Ok(self.launch(started, now)),
            (State::Releasing(started), Event::Failed { reason, blame }) => {
                Ok(self.abandon(started, reason, blame, WasCurrent::No))
            }
            (State::Starting(started), Event::Ready) => {
                let generation = started.generation;
                Ok(self.go(State::Switching(started), Action::Switch(generation)))
            }
            (State::Starting(started), Event::Failed { reason, blame }) => {
                Ok(self.abandon(started, reason, blame, WasCurrent::No))
            }
            (State::Abandoning(abandoned), Event::Abandoned) => Ok(self.abandoned(abandoned, now)),
            (State::Switching(started), Event::Switched { serves: true }) => {
                let Started {
                    generation, source, ..
                } = started;
                let ending = Ending::HandedOver {
                    generation,
                    source,
                    instead: self.instead.take(),
                };
                Ok(self.drain_others(generation, ending))
            }
            (State::Switching(started), Event::Switched { serves: false }) => {
                let reason = "it ended as soon as it was READY".to_owned();
                Ok(self.abandon(started, reason, Blame::Circumstances, WasCurrent::Yes))
            }
            (State::Switching(started), Event::Failed { reason, blame }) => {
                Ok(self.abandon(started, reason, blame, WasCurrent::Yes))
            }
            (State::SwitchingBack(ending), Event::SwitchedBack) => Ok(self.end(ending)),
            (State::Draining(ending), Event::DrainAsked) => Ok(Action::Finish(ending)),
            (state, event) => Err(UnexpectedEvent {
                state: format!("{state:?}"),
                event: format!("{event:?}"),
            }),
        }
    }

    fn go(&mut self, state: State, action: Action) -> Action {
        self.state = state;
        action
    }

    /// The generation that serves now, if one does. `current` may name a dead one.
    fn serving(&self) -> Option<(Generation, Option<&Digest>)> {
        let survey = self.survey.as_ref()?;
        let (generation, digest) = survey.current.as_ref()?;
        let serves = survey
            .running
            .iter()
            .any(|one| one.generation == *generation && one.phase == Phase::Serving);
        serves.then_some((*generation, digest.as_ref()))
    }

    /// The generation that serves now, if it runs a release of the app and not a holding page, which anything may replace.
    fn serving_app(&self) -> Option<Generation> {
        let (generation, digest) = self.serving()?;
        let is_app = digest.is_none_or(|digest| !digest.is_holding_page());
        is_app.then_some(generation)
    }

    /// The action during maintenance: none of the app's releases is started, unless there is no page that could answer
    /// instead.
    fn in_maintenance(&mut self, now: Instant) -> Option<Action> {
        if !matches!(
            self.purpose,
            Purpose::Activate | Purpose::Connect | Purpose::Maintenance
        ) {
            return Some(self.end(Ending::InMaintenance));
        }
        if !self.survey.as_ref()?.has_holding_page {
            return None;
        }
        let page = self.serving().filter(|_| self.serving_app().is_none());
        match page.map(|(generation, _)| generation) {
            // It reads its text again by itself. If the handle is restarted, it is about to be stopped.
            Some(page) if self.purpose != Purpose::Activate => {
                Some(self.drain_others(page, Ending::Unchanged(page)))
            }
            _ => Some(self.start(Source::Maintenance, Digest::holding_page(), now)),
        }
    }

    fn taken(&mut self, candidate: Candidate, now: Instant) -> Action {
        self.fallback = candidate.fallback;
        self.has_release_command = candidate.has_release_command;
        if self.purpose == Purpose::Connect
            && let Some(generation) = self.serving_app()
        {
            return self.drain_others(generation, Ending::Unchanged(generation));
        }
        if !matches!(self.purpose, Purpose::Activate | Purpose::Connect) {
            if let Some((generation, Some(digest))) = self.serving()
                && *digest == candidate.digest
                && self.unchanged == Unchanged::IsDone
            {
                // A killed helper may have left others.
                return self.drain_others(generation, Ending::Unchanged(generation));
            }
            if let Some(reason) = candidate.failed_while_waiting {
                return self.end(Ending::Failed {
                    generation: None,
                    reason,
                });
            }
            let is_asked_by_itself = matches!(self.purpose, Purpose::Deploy | Purpose::Secrets);
            if is_asked_by_itself && candidate.bad.is_some() {
                return self.end(Ending::KnownBad(candidate.digest));
            }
        } else if let Some(why) = candidate.bad {
            let reason = format!("release {} failed before: {why}", candidate.digest);
            // Even while a generation serves: if the handle is restarted, that one is about to be stopped.
            if let Some(digest) = self.fallback.clone() {
                self.instead = Some(reason);
                return self.start(Source::LastGood, digest, now);
            }
            if let Some(action) = self.rescue(Source::Captured, reason, now) {
                return action;
            }
        }
        self.start(Source::Captured, candidate.digest, now)
    }

    fn refused(&mut self, reason: String, now: Instant) -> Action {
        match self.rescue(Source::Captured, reason.clone(), now) {
            Some(action) => action,
            None => self.end(Ending::Refused(reason)),
        }
    }

    fn abandon(
        &mut self,
        started: Started,
        reason: String,
        blame: Blame,
        was_current: WasCurrent,
    ) -> Action {
        let Started {
            generation, digest, ..
        } = started.clone();
        let action = Action::Abandon {
            generation,
            digest,
            reason: reason.clone(),
            blame,
        };
        let abandoned = Abandoned {
            started,
            reason,
            blame,
            was_current,
        };
        self.go(State::Abandoning(abandoned), action)
    }

    fn abandoned(&mut self, abandoned: Abandoned, now: Instant) -> Action {
        let Abandoned {
            started,
            mut reason,
            blame,
            was_current,
        } = abandoned;
        if let Some(survey) = &mut self.survey {
            survey.next = started.generation.next();
            // Somebody stopped it: a page must not answer that.
            survey.has_holding_page &= blame != Blame::Circumstances;
        }
        if let Some(first) = self.instead.take() {
            let other = match started.source {
                Source::HoldingPage | Source::Maintenance => "the holding page",
                Source::Captured | Source::LastGood => "the last good release",
            };
            reason = format!("{first}; {other} does not start either: {reason}");
        }
        if blame == Blame::Prerequisites {
            // Every release lacks the missing prerequisite.
            self.fallback = None;
        }
        if let Some(action) = self.rescue(started.source, reason.clone(), now) {
            return action;
        }
        let ending = Ending::Failed {
            generation: Some(started.generation),
            reason,
        };
        match self.serving().map(|(generation, _)| generation) {
            Some(generation) if was_current == WasCurrent::Yes => {
                self.go(State::SwitchingBack(ending), Action::SwitchBack(generation))
            }
            _ => self.end(ending),
        }
    }

    /// What is started instead of a failed release of `source`: the last good one, then the holding page. A serving
    /// generation serves on, and nothing has to be rescued.
    fn rescue(&mut self, source: Source, reason: String, now: Instant) -> Option<Action> {
        let has_holding_page = self
            .survey
            .as_ref()
            .is_some_and(|survey| survey.has_holding_page);
        let (source, digest) = match (source, self.fallback.clone()) {
            (Source::Captured, Some(digest)) if self.serving_app().is_none() => {
                (Source::LastGood, digest)
            }
            (Source::Captured | Source::LastGood, _)
                if has_holding_page && self.serving().is_none() =>
            {
                (Source::HoldingPage, Digest::holding_page())
            }
            _ => return None,
        };
        self.instead = Some(reason);
        Some(self.start(source, digest, now))
    }

    fn start(&mut self, source: Source, digest: Digest, now: Instant) -> Action {
        let generation = self
            .survey
            .as_ref()
            .map_or(Generation(1), |survey| survey.next);
        let started = Started {
            generation,
            source,
            digest,
        };
        // An earlier release has run its command before.
        if source == Source::Captured && self.has_release_command {
            return self.go(State::Releasing(started), Action::Release(generation));
        }
        self.launch(started, now)
    }

    fn launch(&mut self, started: Started, now: Instant) -> Action {
        let action = Action::Start {
            generation: started.generation,
            source: started.source,
            digest: started.digest.clone(),
            deadline: now + self.start_timeout,
        };
        self.go(State::Starting(started), action)
    }

    /// Ends without a new generation. Leftovers of a killed helper beside the current one are drained all the same.
    fn end(&mut self, ending: Ending) -> Action {
        match self.serving() {
            Some((generation, _)) => self.drain_others(generation, ending),
            None => Action::Finish(ending),
        }
    }

    /// *All* others, not only the previous one: a killed helper may have left more. Also those that are ending: after a
    /// crash they would be restarted otherwise, and asking twice does no harm.
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
