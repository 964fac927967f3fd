//! What the pages are told of handovers.

use portkeep_engine::{Generation, Outcome};

use super::{Start, Work, relevance};
use crate::dev::browser::{Changed, Failure};

impl Work<'_> {
    /// A handover of ours is over. What others did meanwhile is told in its place.
    pub(super) fn tell(&mut self, result: &anyhow::Result<Outcome>, start: Start) {
        let ours = result.as_ref().ok().and_then(generation_of);
        let heard = self.meanwhile.take().unwrap_or_default();
        let (before, after): (Vec<_>, Vec<_>) = heard
            .into_iter()
            .partition(|other| generation_of(other) < ours);
        for outcome in before {
            self.tell_others(&outcome);
        }
        match start {
            Start::New(_) => self.tell_handover(result),
            Start::Again => self.tell_restart(result),
        }
        for outcome in after {
            self.tell_others(&outcome);
        }
        self.say_whether_requests_wait(result);
    }

    fn tell_handover(&mut self, result: &anyhow::Result<Outcome>) {
        match result {
            Ok(Outcome::HandedOver(record)) => {
                let generation = record.generation.map_or(0, |generation| generation.0);
                let changed = relevance::of_generation(&self.changed);
                self.browser.tell(|state| match &record.reason {
                    None => state.serves(generation, changed),
                    Some(reason) => {
                        state.serves(generation, Changed::Pages);
                        state.not_started(self.not_started(reason));
                    }
                });
                if record.reason.is_none() {
                    self.changed.clear();
                }
            }
            Ok(Outcome::Unchanged(generation)) => {
                let changed = relevance::of_files(&self.changed);
                let names = self.sources.name(&self.changed);
                self.browser
                    .tell(|state| state.unchanged(generation.0, changed, &names));
                self.changed.clear();
            }
            other => {
                if let Ok(outcome) = other {
                    self.tell_others(outcome);
                }
                let failure = self.not_started(&why_not(other));
                self.browser.tell(|state| state.not_started(failure));
            }
        }
    }

    /// What was built last was started once more: the newest sources may be others, that cannot be built.
    fn tell_restart(&self, result: &anyhow::Result<Outcome>) {
        if let Ok(outcome) = result {
            self.tell_others(outcome);
        }
        match result {
            Ok(Outcome::HandedOver(record)) if record.reason.is_none() => {
                let generation = record.generation.map_or(0, |generation| generation.0);
                self.browser.tell(|state| state.restarted(generation));
            }
            other => {
                let failure = self.not_started(&why_not(other));
                self.browser.tell(|state| state.not_restarted(failure));
            }
        }
    }

    /// Once, when it serves for the first time: an option that does nothing is worse than none.
    fn say_whether_requests_wait(&mut self, result: &anyhow::Result<Outcome>) {
        let Ok(Outcome::HandedOver(record)) = result else {
            return;
        };
        if !std::mem::take(&mut self.holds) {
            return;
        }
        if record
            .generation
            .is_some_and(|generation| !self.browser.is_held_in(generation.0))
        {
            self.report.line(
                "--while-building hold does nothing here: requests wait only in apps with the server library and its \
                 feature `dev`, built with debug assertions, and not behind TLS of their own",
            );
        }
    }

    /// A handover that was not asked for by a build of ours. What a holding page waits for is told already.
    pub(super) fn tell_others(&self, outcome: &Outcome) {
        let Some(generation) = generation_of(outcome) else {
            return;
        };
        self.browser.tell(|state| match outcome {
            Outcome::Holding(_) | Outcome::InMaintenance(_) => state.is_held_by(generation.0),
            _ => state.is_served_by(generation.0),
        });
    }

    fn not_started(&self, reason: &str) -> Failure {
        Failure::of_output(
            "the new version did not start",
            self.last_words.complete(reason),
        )
    }
}

/// The generation that was started.
fn generation_of(outcome: &Outcome) -> Option<Generation> {
    match outcome {
        Outcome::HandedOver(record) | Outcome::Holding(record) | Outcome::InMaintenance(record) => {
            record.generation
        }
        _ => None,
    }
}

/// Why what was asked for does not serve.
fn why_not(result: &anyhow::Result<Outcome>) -> String {
    match result {
        Ok(Outcome::Holding(record) | Outcome::HandedOver(record)) => {
            record.reason.clone().unwrap_or_default()
        }
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{error:#}"),
    }
}
