//! Counts of generations whose end is not in the history yet: those that run, and those that ended while the machine shut down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::sample::Run;
use crate::store::{PRIVATE, Store, Totals, atomic_write};

/// Number of runs that are saved one by one. Of further ones, those that are gone are added up: their ends will not come
/// any more.
const REMEMBERED: usize = 64;

/// The last counts of each run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// Answered requests of each run, by the manager's name for it.
    runs: BTreeMap<String, SavedCounts>,
    /// Answered requests of all others.
    lost: u64,
    /// Counts looks, to know which run was seen last.
    looks: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SavedCounts {
    answered: u64,
    look: u64,
}

impl Seen {
    /// Updates the counts with the current runs, and drops runs whose ends are in the history.
    #[must_use]
    pub fn with(mut self, runs: &[Run], ended: &BTreeSet<String>) -> Self {
        self.looks += 1;
        self.runs.retain(|run, _| !ended.contains(run));
        let alive = runs.iter().filter(|run| !ended.contains(&run.invocation));
        for run in alive.filter(|run| !run.invocation.is_empty()) {
            let known = self.runs.entry(run.invocation.clone()).or_default();
            // An app may report less later, but it has answered these.
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

    /// The sum of answered requests.
    #[must_use]
    pub fn answered(&self) -> u64 {
        let runs = self.runs.values().map(|known| known.answered);
        runs.fold(self.lost, u64::saturating_add)
    }
}

/// Sources of an app's counters.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Totals of all events.
    pub totals: Totals,
    /// Requests that runs have answered whose end is not in the history.
    pub answered_since: u64,
}

impl Store {
    fn seen_path(&self) -> PathBuf {
        self.state_directory().join("metrics.json")
    }

    /// Adds up the history and the counts of `runs`, which were read before, and saves them for the next time.
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
        // An app that was never started has no directory, and nothing to save.
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
        // It has ended, and nothing has settled that yet; or the machine went down, and nothing ever will.
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
