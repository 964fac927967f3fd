//! Counts of generations whose end is not in the history yet: those that run, and those that ended while the machine shut down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::sample::Run;
use crate::store::{PRIVATE, Store, Totals, atomic_write};

/// Runs that are remembered one by one. Of more, those that are gone are added up: no end of theirs will come any more.
const REMEMBERED: usize = 64;

/// What was seen last of each run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// Requests that each has answered, by what its manager calls the run.
    runs: BTreeMap<String, SavedCounts>,
    /// The same of those that are not remembered one by one.
    lost: u64,
    /// Counts looks, so that it is known which run was seen last.
    looks: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SavedCounts {
    answered: u64,
    look: u64,
}

impl Seen {
    /// With what runs now, and without the runs whose ends the history has.
    #[must_use]
    pub fn with(mut self, runs: &[Run], ended: &BTreeSet<String>) -> Self {
        self.looks += 1;
        self.runs.retain(|run, _| !ended.contains(run));
        let alive = runs.iter().filter(|run| !ended.contains(&run.invocation));
        for run in alive.filter(|run| !run.invocation.is_empty()) {
            let known = self.runs.entry(run.invocation.clone()).or_default();
            // An app may say less later, and it has answered what it has answered.
            known.answered = known.answered.max(run.said.answered);
            known.look = self.looks;
        }
        while self.runs.len() > REMEMBERED {
            let oldest = self.runs.iter().min_by_key(|(_, known)| known.look);
            let Some(oldest) = oldest.map(|(run, _)| run.clone()) else {
                break;
            };
            let gone = self.runs.remove(&oldest).unwrap_or_default();
            self.lost = self.lost.saturating_add(gone.answered);
        }
        self
    }

    /// Requests that they have answered together.
    #[must_use]
    pub fn answered(&self) -> u64 {
        let runs = self.runs.values().map(|known| known.answered);
        runs.fold(self.lost, u64::saturating_add)
    }
}

/// What the counters of an app are made of.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// What all events add up to.
    pub totals: Totals,
    /// Requests that were answered by runs whose end is not in these.
    pub answered_since: u64,
}

impl Store {
    fn seen_path(&self) -> PathBuf {
        self.state_directory().join("metrics.json")
    }

    /// Adds up what the history has and what `runs` say, which were looked at before, and remembers that for the next time.
    ///
    /// # Errors
    /// When the history is there and cannot be read.
    pub fn account_for(&self, runs: &[Run]) -> io::Result<Account> {
        let (history, seen) = self.totals_with(|history| {
            let text = fs::read(self.seen_path()).unwrap_or_default();
            let before: Seen = serde_json::from_slice(&text).unwrap_or_default();
            let seen = before.clone().with(runs, &history.ended);
            if let Err(error) = self.remember(&before, &seen) {
                tracing::warn!(
                    "what {} has answered could not be noted: {error}; after a reboot, its counters may begin anew",
                    self.name()
                );
            }
            seen
        })?;
        Ok(Account {
            totals: history.totals,
            answered_since: seen.answered(),
        })
    }

    fn remember(&self, before: &Seen, seen: &Seen) -> io::Result<()> {
        // An app that was never started has no directory, and nothing to remember.
        if before.runs == seen.runs {
            return Ok(());
        }
        atomic_write(&self.seen_path(), &serde_json::to_vec(seen)?, PRIVATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status_counts::StatusCounts;

    fn run(invocation: &str, answered: u64) -> Run {
        Run {
            invocation: invocation.to_owned(),
            said: StatusCounts {
                answered,
                ..StatusCounts::default()
            },
        }
    }

    fn ended(runs: &[&str]) -> BTreeSet<String> {
        runs.iter().map(|&run| run.to_owned()).collect()
    }

    #[test]
    fn what_was_seen_stays_until_the_history_has_it() {
        let seen = Seen::default().with(&[run("a", 10)], &ended(&[]));
        assert_eq!(seen.answered(), 10);
        // It has ended, and nobody has settled that yet; or the machine went down, and nobody ever will.
        let seen = seen.with(&[run("b", 2)], &ended(&[]));
        assert_eq!(seen.answered(), 12);
        // The history has counted it.
        let seen = seen.with(&[run("b", 3)], &ended(&["a"]));
        assert_eq!(seen.answered(), 3);
        // It is still loaded when its end is in the history.
        let seen = seen.with(&[run("b", 3)], &ended(&["a", "b"]));
        assert_eq!(seen.answered(), 0);
    }

    #[test]
    fn it_never_falls_whatever_an_app_says_and_however_many_there_were() {
        let mut seen = Seen::default().with(&[run("a", 10)], &ended(&[]));
        seen = seen.with(&[run("a", 0)], &ended(&[]));
        assert_eq!(seen.answered(), 10);
        for number in 0..500 {
            let before = seen.answered();
            seen = seen.with(&[run(&format!("run-{number}"), 1)], &ended(&[]));
            assert_eq!(seen.answered(), before + 1);
        }
        assert!(seen.runs.len() <= REMEMBERED);
        let text = serde_json::to_string(&seen).unwrap();
        assert_eq!(serde_json::from_str::<Seen>(&text).unwrap(), seen);
    }
}
