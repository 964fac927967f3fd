//! Folds equal events in a row into one line.

use jiff::Timestamp;
use serde::Serialize;

use super::events::{CrashRecord, DrainedRecord, HandoverRecord, HistoryEvent};

/// An event, and how often it came in a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repeated {
    /// The last of them.
    #[serde(flatten)]
    pub event: HistoryEvent,
    /// Their number.
    pub count: u32,
    /// The time of the first.
    pub first_at: Timestamp,
}

impl Repeated {
    /// A single event.
    #[must_use]
    pub fn once(event: HistoryEvent) -> Self {
        Self {
            count: 1,
            first_at: event.at(),
            event,
        }
    }
}

/// Folds events (oldest first): equal ones in a row become one.
#[must_use]
pub fn fold(events: Vec<HistoryEvent>) -> Vec<Repeated> {
    let mut folded: Vec<Repeated> = Vec::new();
    for event in events {
        match folded.last_mut() {
            Some(last) if says_the_same(&last.event, &event) => {
                last.count = last.count.saturating_add(1);
                last.event = event;
            }
            _ => folded.push(Repeated::once(event)),
        }
    }
    folded
}

fn says_the_same(one: &HistoryEvent, other: &HistoryEvent) -> bool {
    match (one, other) {
        (HistoryEvent::Handover(one), HistoryEvent::Handover(other)) => same_handover(one, other),
        (HistoryEvent::Crash(one), HistoryEvent::Crash(other)) => same_crash(one, other),
        (HistoryEvent::Drained(one), HistoryEvent::Drained(other)) => same_drain(one, other),
        _ => false,
    }
}

/// A handover that started nothing for good has a new number in each try; one that serves has a number of its own. The
/// app's last lines may contain a time, and do not count.
fn same_handover(one: &HandoverRecord, other: &HandoverRecord) -> bool {
    !one.result.serves()
        && (one.result, one.purpose) == (other.result, other.purpose)
        && (&one.digest, one.previous) == (&other.digest, other.previous)
        && one.first_clause() == other.first_clause()
}

fn same_crash(one: &CrashRecord, other: &CrashRecord) -> bool {
    one.generation == other.generation
        && one.decision == other.decision
        && one.reason == other.reason
}

fn same_drain(one: &DrainedRecord, other: &DrainedRecord) -> bool {
    one.generation == other.generation
        && (&one.status, &one.reason) == (&other.status, &other.reason)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(second: u32) -> String {
        format!("2026-01-01T00:00:{second:02}Z")
    }

    fn event(json: Value) -> HistoryEvent {
        serde_json::from_value(json).unwrap()
    }

    fn crash(second: u32, generation: u64, decision: &str) -> HistoryEvent {
        event(json!({
            "event": "crash", "at": at(second), "generation": generation, "digest": null, "reason": "it exited",
            "crashes": second, "decision": decision, "pauseMilliseconds": 100 * second,
        }))
    }

    fn handover(second: u32, generation: Option<u64>, result: &str, reason: &str) -> HistoryEvent {
        event(json!({
            "event": "handover", "at": at(second), "id": second.to_string(), "purpose": "retry", "result": result,
            "generation": generation, "previous": null, "digest": null, "source": null, "drained": [],
            "steps": { "lockMilliseconds": 0, "takeMilliseconds": 0, "startMilliseconds": 0, "totalMilliseconds": 0 },
            "reason": reason,
        }))
    }

    fn counts(events: Vec<HistoryEvent>) -> Vec<u32> {
        fold(events).iter().map(|one| one.count).collect()
    }

    #[test]
    fn what_says_the_same_in_a_row_is_one() {
        let lines = |number: u32| format!("it exited; its last lines:\n  | at {number}");
        for (events, expected) in [
            (vec![], vec![]),
            ((1..=4).map(|n| crash(n, 7, "restart")).collect(), vec![4]),
            // Another generation, another decision, and another event in between.
            (
                vec![crash(1, 7, "restart"), crash(2, 8, "restart")],
                vec![1, 1],
            ),
            (
                vec![
                    crash(1, 7, "restart"),
                    crash(2, 7, "restart"),
                    crash(3, 7, "give-up"),
                ],
                vec![2, 1],
            ),
            (
                vec![
                    crash(1, 7, "restart"),
                    handover(2, None, "refused", "missing"),
                    crash(3, 7, "restart"),
                ],
                vec![1, 1, 1],
            ),
            (
                (1..=3)
                    .map(|n| handover(n, None, "refused", "missing"))
                    .collect(),
                vec![3],
            ),
            // Each try has a number of its own, and lines with a time.
            (
                (1..=3)
                    .map(|n| handover(n, Some(n.into()), "failed", &lines(n)))
                    .collect(),
                vec![3],
            ),
            (
                vec![
                    handover(1, Some(1), "failed", "it exited"),
                    handover(2, Some(2), "failed", "it crashed"),
                ],
                vec![1, 1],
            ),
            // A release that serves is reported each time.
            (
                vec![
                    handover(1, Some(1), "handed-over", ""),
                    handover(2, Some(2), "handed-over", ""),
                ],
                vec![1, 1],
            ),
        ] {
            assert_eq!(counts(events.clone()), expected, "{events:?}");
        }
    }

    #[test]
    fn the_last_is_told_with_the_time_of_the_first() {
        let folded = fold(vec![crash(1, 7, "restart"), crash(5, 7, "restart")]);
        let json = serde_json::to_value(&folded).unwrap();
        assert_eq!(json[0]["event"], "crash");
        assert_eq!(json[0]["count"], 2);
        assert_eq!(json[0]["firstAt"], at(1));
        assert_eq!(json[0]["at"], at(5));
        assert_eq!(json[0]["crashes"], 5);
    }
}
