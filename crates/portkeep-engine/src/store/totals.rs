//! Sums over all events ever recorded, including those whose lines have been cut off.
//!
//! Before the history is cut, the lines to be cut are added to `history-totals.json`, with the mark of the last one. After
//! a kill between the two, lines are in both: the mark shows which ones count. So a total consists of the cut lines and the
//! present ones, is exact, and never falls.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::events::{Decision, HandoverResult, HistoryEvent, Steps, TakenOutReason};
use super::{Store, atomic_write, write::PRIVATE};
use crate::handover::Purpose;
use crate::status_counts::StatusCounts;

/// Sums over all events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Totals {
    /// Handovers by result and purpose, in the words of the history.
    pub handovers: BTreeMap<String, BTreeMap<String, u64>>,
    /// How long their steps took, all together.
    pub steps: StepTotals,
    /// Crashes by decision, in the words of the history.
    pub crashes: BTreeMap<String, u64>,
    /// Drains that ended in time.
    pub drained: u64,
    /// Drains that were killed at their deadline.
    pub drains_cut: u64,
    /// Number of times that a person took the app out.
    pub taken_out: u64,
    /// Number of times that a shutdown did.
    pub left: u64,
    /// Requests answered by ended generations.
    pub answered: u64,
    /// Connections that they moved to the next one.
    pub moved: u64,
    /// Connections that they cut in the middle of something.
    pub cut: u64,
    /// How long a holding page has answered, until the last event.
    pub holding_milliseconds: u64,
    /// Since when one answers; none while a release serves, or during maintenance.
    pub holding_since: Option<Timestamp>,
}

/// In microseconds, so that sums are exact in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepTotals {
    /// Waiting for another handover.
    pub lock_microseconds: u64,
    /// Capturing the release.
    pub capture_microseconds: u64,
    /// The release command.
    pub release_microseconds: u64,
    /// From the start of the generation to READY, or to its failure.
    pub start_microseconds: u64,
    /// All of it.
    pub total_microseconds: u64,
}

impl StepTotals {
    fn add(&mut self, steps: &Steps) {
        for (sum, milliseconds) in [
            (&mut self.lock_microseconds, steps.lock_milliseconds),
            (&mut self.capture_microseconds, steps.take_milliseconds),
            (&mut self.release_microseconds, steps.release_milliseconds),
            (&mut self.start_microseconds, steps.start_milliseconds),
            (&mut self.total_microseconds, steps.total_milliseconds),
        ] {
            // An invalid number in a file that somebody wrote counts nothing.
            *sum = sum.saturating_add((milliseconds.max(0.0) * 1e3).round() as u64);
        }
    }
}

impl Totals {
    /// Adds one event. Events come in order.
    pub fn add(&mut self, event: &HistoryEvent) {
        match event {
            HistoryEvent::Handover(record) => {
                let by_purpose = self.handovers.entry(record.result.as_str().to_owned());
                let count = by_purpose
                    .or_default()
                    .entry(record.purpose.as_str().to_owned());
                *count.or_default() += 1;
                self.steps.add(&record.steps);
                match record.result {
                    HandoverResult::Holding => {
                        self.holding_since.get_or_insert(record.at);
                    }
                    HandoverResult::HandedOver
                    | HandoverResult::FellBack
                    | HandoverResult::Maintenance => self.end_holding(record.at),
                    HandoverResult::Failed | HandoverResult::Refused => {}
                }
            }
            HistoryEvent::Crash(crash) => {
                let word = match crash.decision {
                    Decision::Restart => "restart",
                    Decision::GiveUp => "give-up",
                    Decision::Abandon => "abandon",
                };
                *self.crashes.entry(word.to_owned()).or_default() += 1;
                self.add_said(&crash.status);
            }
            HistoryEvent::Drained(drained) => {
                match drained.is_cut() {
                    true => self.drains_cut += 1,
                    false => self.drained += 1,
                }
                self.add_said(&drained.status);
            }
            HistoryEvent::TakenOut(record) => match record.cause {
                TakenOutReason::Asked => self.taken_out += 1,
                TakenOutReason::Shutdown => self.left += 1,
            },
            HistoryEvent::PutBack(_) => {}
        }
    }

    fn add_said(&mut self, status: &str) {
        let said = StatusCounts::of(status);
        for (sum, more) in [
            (&mut self.answered, said.answered),
            (&mut self.moved, said.moved),
            (&mut self.cut, said.cut),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    fn end_holding(&mut self, at: Timestamp) {
        if let Some(since) = self.holding_since.take() {
            self.holding_milliseconds = self.holding_until(since, at);
        }
    }

    fn holding_until(&self, since: Timestamp, at: Timestamp) -> u64 {
        // A clock that was set back adds nothing.
        let more = u64::try_from(at.duration_since(since).as_millis()).unwrap_or(0);
        self.holding_milliseconds.saturating_add(more)
    }

    /// How long a holding page has answered until now, in milliseconds.
    #[must_use]
    pub fn holding_milliseconds_at(&self, now: Timestamp) -> u64 {
        match self.holding_since {
            Some(since) => self.holding_until(since, now),
            None => self.holding_milliseconds,
        }
    }

    /// Handovers with that result and purpose; with any purpose if none is given.
    #[must_use]
    pub fn handovers(&self, result: HandoverResult, purpose: Option<Purpose>) -> u64 {
        let Some(by_purpose) = self.handovers.get(result.as_str()) else {
            return 0;
        };
        match purpose {
            Some(purpose) => by_purpose.get(purpose.as_str()).copied().unwrap_or(0),
            None => by_purpose.values().sum(),
        }
    }
}

/// Totals, and the events that they include.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct CutOff {
    totals: Totals,
    /// The mark of the last line that is included.
    through: Option<String>,
}

impl CutOff {
    /// Adds those of `lines` that are not included yet.
    pub(super) fn add(&mut self, lines: &[&str]) {
        for line in self.new_in(lines) {
            if let Ok(event) = serde_json::from_str(line) {
                self.totals.add(&event);
            }
        }
        if let Some(last) = lines.last() {
            self.through = Some(mark(last));
        }
    }

    fn new_in<'a, 'b>(&self, lines: &'a [&'b str]) -> &'a [&'b str] {
        let through = self.through.as_deref();
        let is_last = |line: &&str| through.is_some_and(|through| mark(line) == through);
        let at = lines.iter().rposition(is_last);
        &lines[at.map_or(0, |at| at + 1)..]
    }
}

fn mark(line: &str) -> String {
    blake3::hash(line.as_bytes()).to_hex()[..32].to_owned()
}

/// Facts from the history for metrics.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Sums over all events.
    pub totals: Totals,
    /// The manager's ids of the runs whose ends are included, as far as their lines exist.
    pub ended: BTreeSet<String>,
}

impl Store {
    fn totals_path(&self) -> PathBuf {
        self.state.join("history-totals.json")
    }

    /// The totals of cut lines. An unreadable file counts as missing: its contents are lost, and counting goes on.
    fn cut_off(&self) -> CutOff {
        let text = fs::read(self.totals_path()).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Saves the totals of lines that are about to be cut off.
    pub(super) fn count_before_cut(&self, lines: &[&str]) -> io::Result<()> {
        let mut cut_off = self.cut_off();
        cut_off.add(lines);
        let text = serde_json::to_vec(&cut_off)?;
        atomic_write(&self.totals_path(), &text, PRIVATE)
    }

    /// Sums over all events.
    ///
    /// # Errors
    /// When the history is there and cannot be read.
    pub fn totals(&self) -> io::Result<History> {
        Ok(self.totals_with(|_| ())?.0)
    }

    /// The same, with the result of `also`: nobody adds to the history meanwhile.
    pub(crate) fn totals_with<T>(
        &self,
        also: impl FnOnce(&History) -> T,
    ) -> io::Result<(History, T)> {
        self.with_history_locked(|text| {
            let lines: Vec<_> = text.lines().collect();
            let mut cut_off = self.cut_off();
            cut_off.add(&lines);
            let invocation = |line: &&str| match serde_json::from_str(line).ok()? {
                HistoryEvent::Crash(crash) => crash.invocation,
                HistoryEvent::Drained(drained) => drained.invocation,
                _ => None,
            };
            let history = History {
                totals: cut_off.totals,
                ended: lines.iter().filter_map(invocation).collect(),
            };
            let also = also(&history);
            (history, also)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(json: Value) -> HistoryEvent {
        serde_json::from_value(json).unwrap()
    }

    fn handover(second: u32, result: &str, purpose: &str) -> HistoryEvent {
        event(json!({
            "event": "handover", "at": at(second), "id": format!("{second}"), "purpose": purpose, "result": result,
            "generation": 1, "previous": null, "digest": null, "source": null, "drained": [],
            "steps": { "lockMilliseconds": 0.1, "takeMilliseconds": 1.5, "startMilliseconds": 30, "totalMilliseconds": 31.7 },
            "reason": null,
        }))
    }

    fn drained(second: u32, run: &str) -> HistoryEvent {
        event(json!({
            "event": "drained", "at": at(second), "generation": 1, "digest": null, "invocation": run,
            "status": "drained in 1.2s: 7 answered, 50 moved, 2 idle closed, cut 4: 4 busy; 100 answered in all",
            "reason": "it exited with status 0",
        }))
    }

    fn taken_out(second: u32, cause: &str) -> HistoryEvent {
        event(json!({
            "event": "taken-out", "at": at(second), "cause": cause, "graceMilliseconds": 10_000,
            "generation": 1, "digest": null, "label": null,
        }))
    }

    fn at(second: u32) -> String {
        let (minutes, seconds) = (second / 60, second % 60);
        format!("2026-01-01T00:{minutes:02}:{seconds:02}Z")
    }

    #[test]
    fn events_add_up() {
        let mut totals = Totals::default();
        for event in [
            handover(0, "handed-over", "reload"),
            handover(1, "handed-over", "rollback"),
            handover(2, "failed", "deploy"),
            handover(10, "holding", "activate"),
            handover(20, "holding", "retry"),
            handover(25, "failed", "retry"),
            handover(40, "fell-back", "reload"),
            drained(41, "a"),
            taken_out(42, "asked"),
            taken_out(43, "shutdown"),
            taken_out(44, "asked"),
        ] {
            totals.add(&event);
        }
        assert_eq!(totals.handovers(HandoverResult::HandedOver, None), 2);
        let rollback = Some(Purpose::Rollback);
        assert_eq!(totals.handovers(HandoverResult::HandedOver, rollback), 1);
        assert_eq!(totals.handovers(HandoverResult::Refused, None), 0);
        assert_eq!(totals.steps.total_microseconds, 7 * 31_700);
        assert_eq!((totals.answered, totals.moved, totals.cut), (100, 50, 4));
        assert_eq!((totals.taken_out, totals.left), (2, 1));
        assert_eq!(totals.holding_milliseconds, 30_000);
        totals.add(&handover(50, "holding", "retry"));
        let now: Timestamp = at(55).parse().unwrap();
        assert_eq!(totals.holding_milliseconds_at(now), 35_000);
        // A clock that was set back.
        let before: Timestamp = at(0).parse().unwrap();
        assert_eq!(totals.holding_milliseconds_at(before), 30_000);
    }

    /// However often lines are cut off, and wherever that is killed.
    #[test]
    fn a_total_is_that_of_all_events_there_ever_were() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        let mut all = Totals::default();
        for second in 0..400 {
            let event = match second % 4 {
                0 => handover(second, "handed-over", "reload"),
                1 => handover(second, "holding", "retry"),
                2 => taken_out(second, "asked"),
                _ => drained(second, &format!("run-{second}")),
            };
            all.add(&event);
            store.note_and_keep(&event, 20).unwrap();
            assert_eq!(store.totals().unwrap().totals, all, "after {second}");
            if second % 50 == 0 {
                // Killed between the two: the counted lines are still in the history.
                let text = fs::read_to_string(root.path().join("state/history.jsonl")).unwrap();
                let lines: Vec<_> = text.lines().collect();
                store.count_before_cut(&lines[..lines.len() / 2]).unwrap();
                assert_eq!(store.totals().unwrap().totals, all, "killed after {second}");
            }
        }
        assert!(store.events().unwrap().len() <= 40);
        assert!(store.totals().unwrap().ended.contains("run-399"));
    }

    #[test]
    fn nothing_adds_up_to_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        assert_eq!(store.totals().unwrap().totals, Totals::default());
    }
}
