//! Handovers: of this loop's builds, and by others.

use std::time::Duration;

use portkeep_engine::handover::Purpose;
use portkeep_engine::store::HandoverRecord;
use portkeep_engine::{EngineError, Generation, Outcome};

use super::{Activity, RoundEnd, Start, Status, Trigger, relevance};
use crate::change::{Changed, names};
use crate::effect::{Effect, Notice};
use crate::event::{HandoverEnd, Now, Work};
use crate::failure::Failure;

impl Status {
    /// The handover that this loop requested ended.
    pub(super) fn handover_ended(
        &mut self,
        end: HandoverEnd,
        now: &Now,
        effects: &mut Vec<Effect>,
    ) {
        let Activity::Starting {
            start, builds_next, ..
        } = std::mem::replace(&mut self.activity, Activity::Idle)
        else {
            return self.other_ended(&end.result, effects);
        };
        let work = match start {
            Start::New(work) => work,
            Start::Again => Work::Something,
        };
        let serves = self.tell(&end.result, work, effects);
        if serves {
            self.chosen_by_others = None;
        }
        match start {
            Start::New(_) => self.show_handover(&end.result),
            Start::Again => self.show_restart(&end.result),
        }
        self.say_whether_requests_wait(&end, effects);
        match start {
            _ if !serves => self.fail(effects),
            Start::New(_) => self.is_failing = false,
            // The newest sources may be others.
            Start::Again => {}
        }
        if builds_next {
            self.note_late(now);
            return self.begin_round(Trigger::Asked, now, effects);
        }
        if serves && std::mem::take(&mut self.opens) {
            effects.push(Effect::OpenPage);
        }
        match start {
            Start::New(_) if serves => self.end_round(RoundEnd::Serves, now, effects),
            Start::New(_) => self.end_round(RoundEnd::Fails, now, effects),
            Start::Again => {}
        }
    }

    /// The history has a new entry. The handover that this loop waits for is reported when it ends, with the changed files.
    pub(super) fn recorded(&mut self, record: HandoverRecord, effects: &mut Vec<Effect>) {
        if let Activity::Starting { id: Some(id), .. } = &self.activity
            && *id == record.id
        {
            return;
        }
        let generation = record.generation;
        let result = Outcome::of(record).map_err(anyhow::Error::from);
        if let Ok(outcome) = &result {
            self.show_other(outcome);
        }
        if generation > self.told {
            self.tell(&result, Work::Something, effects);
        }
    }

    /// A handover ended that this loop does not wait for.
    pub(super) fn other_ended(
        &mut self,
        result: &anyhow::Result<Outcome>,
        effects: &mut Vec<Effect>,
    ) {
        if let Ok(outcome) = result {
            self.show_other(outcome);
        }
        // A command that requested nothing new has been told so.
        if !matches!(result, Ok(Outcome::Unchanged(_))) {
            self.tell(result, Work::Something, effects);
        }
    }

    /// Reports the end of a handover to the terminal, once. True if the app serves the built version.
    fn tell(
        &mut self,
        result: &anyhow::Result<Outcome>,
        work: Work,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let (told, serves) = match result {
            Ok(Outcome::HandedOver(record)) => {
                let generation = record.generation.unwrap_or(Generation(0));
                let milliseconds = |time: f64| Duration::from_secs_f64(time.max(0.0) / 1e3);
                let told = match &record.reason {
                    None => Notice::Serves {
                        generation,
                        ready: milliseconds(record.steps.start_milliseconds),
                        total: milliseconds(record.steps.total_milliseconds),
                    },
                    Some(reason) => Notice::FellBack {
                        generation,
                        reason: reason.clone(),
                    },
                };
                (self.once(record.generation, told), record.reason.is_none())
            }
            Ok(Outcome::Unchanged(generation)) => {
                let told = match self.settings.builds_nothing && !self.changed.as_slice().is_empty()
                {
                    true => {
                        let files = names(self.changed.as_slice(), &self.settings.here);
                        Notice::NotOfRelease(files, *generation)
                    }
                    false => Notice::Unchanged(work, *generation),
                };
                (Some(told), true)
            }
            Ok(Outcome::KnownBad(digest)) => (Some(Notice::KnownBad(digest.clone())), false),
            Ok(Outcome::Holding(record)) => {
                let reason = record.reason.clone().unwrap_or_default();
                let told = Notice::NothingServes(self.step, reason);
                (self.once(record.generation, told), false)
            }
            Ok(Outcome::InMaintenance(_)) => (Some(Notice::InMaintenance), false),
            Ok(other) => (Some(Notice::Answered(format!("{other:?}"))), true),
            Err(error) => {
                let told = Notice::DidNotTakeOver(format!("{error:#}"));
                let told = match error.downcast_ref() {
                    Some(EngineError::StartFailed {
                        generation: Some(generation),
                        ..
                    }) => self.once(Some(*generation), told),
                    _ => Some(told),
                };
                (told, false)
            }
        };
        effects.extend(told.map(Effect::Tell));
        serves
    }

    /// The report of a generation's start, unless it was reported already: the history may be faster than the answer.
    fn once(&mut self, generation: Option<Generation>, told: Notice) -> Option<Notice> {
        (self.told != generation).then(|| {
            self.told = generation;
            told
        })
    }

    fn show_handover(&mut self, result: &anyhow::Result<Outcome>) {
        match result {
            Ok(Outcome::HandedOver(record)) => {
                let generation = record.generation.map_or(0, |generation| generation.0);
                match &record.reason {
                    None => {
                        let changed = relevance::of_generation(self.changed.as_slice());
                        self.page.serves(generation, changed);
                        self.changed.clear();
                    }
                    Some(reason) => {
                        let failure = self.not_started(reason);
                        self.page.serves(generation, Changed::Pages);
                        self.page.not_started(failure);
                    }
                }
            }
            Ok(Outcome::Unchanged(generation)) => {
                let changes = self.changed.take();
                let changed = relevance::of_files(&changes);
                let names = names(&changes, &self.settings.here);
                self.page
                    .unchanged(generation.0, changed, &names, self.heard);
            }
            other => {
                if let Ok(outcome) = other {
                    self.show_other(outcome);
                }
                let failure = self.not_started(&why_not(other));
                self.page.not_started(failure);
            }
        }
    }

    /// The last built version was started again: there may be newer sources that cannot be built.
    fn show_restart(&mut self, result: &anyhow::Result<Outcome>) {
        if let Ok(outcome) = result {
            self.show_other(outcome);
        }
        match result {
            Ok(Outcome::HandedOver(record)) if record.reason.is_none() => {
                let generation = record.generation.map_or(0, |generation| generation.0);
                self.page.restarted(generation);
            }
            other => {
                let failure = self.not_started(&why_not(other));
                self.page.not_restarted(failure);
            }
        }
    }

    /// A handover that was not requested for our build. A page shows already what the holding page waits for.
    fn show_other(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::HandedOver(HandoverRecord {
                generation: Some(generation),
                purpose,
                reason,
                ..
            }) => {
                self.page.is_served_by(generation.0);
                // All others start what was published last, which is what was built last.
                let is_newest = *purpose != Purpose::Rollback && reason.is_none();
                self.chosen_by_others = (!is_newest).then_some(*generation);
            }
            Outcome::Holding(HandoverRecord {
                generation: Some(generation),
                ..
            })
            | Outcome::InMaintenance(HandoverRecord {
                generation: Some(generation),
                ..
            }) => self.page.is_held_by(generation.0),
            _ => {}
        }
    }

    /// Once, when the app serves for the first time: an option without effect must be reported.
    fn say_whether_requests_wait(&mut self, end: &HandoverEnd, effects: &mut Vec<Effect>) {
        if let Ok(Outcome::HandedOver(record)) = &end.result
            && std::mem::take(&mut self.requests_wait)
            && record.generation.is_some()
            && !end.requests_wait
        {
            effects.push(Effect::Tell(Notice::RequestsDoNotWait));
        }
    }

    fn not_started(&self, reason: &str) -> Failure {
        Failure::of_output(
            "the new version did not start",
            self.last_lines.complete(reason),
        )
    }
}

/// Why the requested version does not serve.
fn why_not(result: &anyhow::Result<Outcome>) -> String {
    match result {
        Ok(Outcome::Holding(record) | Outcome::HandedOver(record)) => {
            record.reason.clone().unwrap_or_default()
        }
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{error:#}"),
    }
}
