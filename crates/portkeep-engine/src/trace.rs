//! Handover as a trace: OTLP in its JSON encoding, which collectors and Jaeger read.
//!
//! The history has how long each step took, and steps follow each other: so the spans are placed one after another. The
//! rest at the end is the switch, the order to drain, and the look at running generations.

use jiff::Timestamp;
use portkeep_spec::{AppName, Manager as Which};
use serde_json::{Value, json};

use crate::generation::Generation;
use crate::store::{DrainedRecord, HandoverRecord, HistoryEvent};

/// A handover with the drains that it began.
#[derive(Debug, Clone)]
pub struct Trace {
    handover: HandoverRecord,
    drains: Vec<DrainedRecord>,
}

/// A part of a trace.
struct Span<'a> {
    name: &'a str,
    begin: i128,
    end: i128,
    attributes: Vec<Value>,
    error: Option<&'a str>,
}

impl Trace {
    /// The last handover in `events` that started `generation`, or tried to, with the ends of its drains.
    #[must_use]
    pub fn of(events: &[HistoryEvent], generation: Generation) -> Option<Self> {
        let handovers = events.iter().enumerate().rev();
        let (at, handover) = handovers
            .filter_map(|(at, event)| match event {
                HistoryEvent::Handover(record) => Some((at, record)),
                _ => None,
            })
            .find(|(_, record)| record.generation == Some(generation))?;
        let drains = events[at..].iter().filter_map(|event| match event {
            HistoryEvent::Drained(drained) if handover.drained.contains(&drained.generation) => {
                Some(drained.clone())
            }
            _ => None,
        });
        Some(Self {
            handover: handover.clone(),
            drains: drains.collect(),
        })
    }

    /// As OTLP, in JSON: an `ExportTraceServiceRequest`. The same handover has the same ids each time.
    #[must_use]
    pub fn otlp(&self, name: &AppName, which: Which, version: &str) -> Value {
        let record = &self.handover;
        let ids = Ids::of(name, record);
        let root = ids.span("handover", None);
        let mut spans = vec![self.root().otlp(&ids, &root, None)];
        for (index, span) in self.steps().iter().enumerate() {
            let id = ids.span(span.name, Some(index));
            spans.push(span.otlp(&ids, &id, Some(&root)));
        }
        for (index, drained) in self.drains.iter().enumerate() {
            let id = ids.span("drain", Some(index));
            spans.push(self.drain(drained).otlp(&ids, &id, Some(&root)));
        }
        let mut resource = vec![
            attribute("service.name", name.as_str()),
            attribute("portkeep.manager", &which.to_string()),
        ];
        let label = record.label.as_ref();
        resource.extend(label.map(|label| attribute("service.version", label.as_str())));
        json!({ "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": { "name": "portkeep", "version": version }, "spans": spans }],
        }] })
    }

    fn begin(&self) -> i128 {
        self.end() - nanoseconds(self.handover.steps.total_milliseconds)
    }

    fn end(&self) -> i128 {
        self.handover.at.as_nanosecond()
    }

    fn root(&self) -> Span<'_> {
        let record = &self.handover;
        let number = |generation: Option<Generation>| generation.map(|one| one.to_string());
        let known = [
            ("portkeep.handover.id", Some(record.id.to_string())),
            ("portkeep.purpose", Some(record.purpose.to_string())),
            ("portkeep.result", Some(record.result.to_string())),
            ("portkeep.generation", number(record.generation)),
            ("portkeep.previous", number(record.previous)),
            (
                "portkeep.release",
                record
                    .digest
                    .as_ref()
                    .map(|digest| digest.as_str().to_owned()),
            ),
            (
                "portkeep.label",
                record.label.as_ref().map(ToString::to_string),
            ),
        ];
        let known = known
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        Span {
            name: "handover",
            begin: self.begin(),
            end: self.end(),
            attributes: known.map(|(name, value)| attribute(name, &value)).collect(),
            error: (!record.result.serves()).then(|| record.first_clause().unwrap_or_default()),
        }
    }

    /// The steps that took place, one after another.
    fn steps(&self) -> Vec<Span<'_>> {
        let steps = &self.handover.steps;
        let mut at = self.begin();
        let mut spans: Vec<_> = [
            ("lock", steps.lock_milliseconds),
            ("capture", steps.take_milliseconds),
            ("release command", steps.release_milliseconds),
            ("start", steps.start_milliseconds),
        ]
        .into_iter()
        .filter(|(_, milliseconds)| *milliseconds > 0.0)
        .map(|(name, milliseconds)| {
            let begin = at;
            at = (begin + nanoseconds(milliseconds)).min(self.end());
            Span {
                name,
                begin,
                end: at,
                attributes: Vec::new(),
                error: None,
            }
        })
        .collect();
        if at < self.end() {
            spans.push(Span {
                name: "switch",
                begin: at,
                end: self.end(),
                attributes: Vec::new(),
                error: None,
            });
        }
        spans
    }

    fn drain<'a>(&self, drained: &'a DrainedRecord) -> Span<'a> {
        Span {
            name: "drain",
            begin: self.end(),
            end: drained.at.as_nanosecond().max(self.end()),
            attributes: vec![
                attribute("portkeep.generation", &drained.generation.to_string()),
                attribute("portkeep.status", &drained.status),
            ],
            error: drained.is_cut().then_some(drained.reason.as_str()),
        }
    }
}

impl Span<'_> {
    fn otlp(&self, ids: &Ids, id: &str, parent: Option<&str>) -> Value {
        // 1: in order; 2: an error. 64-bit numbers are strings in JSON.
        let status = match self.error {
            Some(message) => json!({ "code": 2, "message": message }),
            None => json!({ "code": 1 }),
        };
        json!({
            "traceId": ids.trace,
            "spanId": id,
            "parentSpanId": parent.unwrap_or_default(),
            "name": self.name,
            "kind": 1,
            "startTimeUnixNano": self.begin.max(0).to_string(),
            "endTimeUnixNano": self.end.max(0).to_string(),
            "attributes": self.attributes,
            "status": status,
        })
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn nanoseconds(milliseconds: f64) -> i128 {
    // An invalid number in a file that somebody wrote is no time.
    (milliseconds.max(0.0) * 1e6).round() as i128
}

/// Ids that depend only on the handover, so that sending it twice gives one trace.
struct Ids {
    key: [u8; 32],
    trace: String,
}

impl Ids {
    fn of(name: &AppName, record: &HandoverRecord) -> Self {
        let mut hasher = blake3::Hasher::new();
        let at: Timestamp = record.at;
        for word in [name.as_str(), &record.id.to_string(), &at.to_string()] {
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word.as_bytes());
        }
        let key = *hasher.finalize().as_bytes();
        let trace = blake3::keyed_hash(&key, b"trace").to_hex()[..32].to_owned();
        Self { key, trace }
    }

    fn span(&self, name: &str, index: Option<usize>) -> String {
        let words = format!("{name} {index:?}");
        blake3::keyed_hash(&self.key, words.as_bytes()).to_hex()[..16].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<HistoryEvent> {
        let handover = |generation: u64, result: &str, second: u32| {
            json!({
                "event": "handover", "at": format!("2026-01-01T00:00:{second:02}Z"), "id": format!("job-{generation}"),
                "purpose": "reload", "result": result, "generation": generation, "previous": 1, "digest": "0123", "label": "v2",
                "source": null, "drained": [1], "reason": "it exited; its last lines:\n  | boom",
                "steps": { "lockMilliseconds": 1.5, "takeMilliseconds": 10, "releaseMilliseconds": 0, "startMilliseconds": 30,
                           "totalMilliseconds": 50 },
            })
        };
        let drained = json!({
            "event": "drained", "at": "2026-01-01T00:00:09Z", "generation": 1, "digest": null,
            "status": "drained in 4.0s: 7 answered", "reason": "it exited with status 0",
        });
        [
            handover(2, "handed-over", 5),
            drained,
            handover(3, "failed", 20),
        ]
        .into_iter()
        .map(|event| serde_json::from_value(event).unwrap())
        .collect()
    }

    fn spans(generation: u64) -> Vec<Value> {
        let trace = Trace::of(&events(), Generation(generation)).unwrap();
        let otlp = trace.otlp(&"hello".parse().unwrap(), Which::System, "1.0");
        otlp["resourceSpans"][0]["scopeSpans"][0]["spans"]
            .as_array()
            .unwrap()
            .clone()
    }

    fn number(span: &Value, field: &str) -> u64 {
        span[field].as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn each_step_is_a_span_within_its_handover() {
        let spans = spans(2);
        let names: Vec<_> = spans
            .iter()
            .map(|span| span["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            ["handover", "lock", "capture", "start", "switch", "drain"]
        );
        let root = &spans[0];
        let took = number(root, "endTimeUnixNano") - number(root, "startTimeUnixNano");
        assert_eq!(took, 50_000_000);
        let mut at = number(root, "startTimeUnixNano");
        for step in &spans[1..5] {
            assert_eq!(number(step, "startTimeUnixNano"), at, "{step}");
            at = number(step, "endTimeUnixNano");
            assert_eq!(step["parentSpanId"], root["spanId"]);
        }
        assert_eq!(at, number(root, "endTimeUnixNano"));
        let drain = &spans[5];
        let took = number(drain, "endTimeUnixNano") - number(drain, "startTimeUnixNano");
        assert_eq!(took, 4_000_000_000);
        let ids: std::collections::BTreeSet<_> =
            spans.iter().map(|span| span["spanId"].as_str()).collect();
        assert_eq!(ids.len(), spans.len());
        assert_eq!(root["status"]["code"], 1);
    }

    #[test]
    fn one_that_failed_says_why_in_one_line() {
        let spans = spans(3);
        assert_eq!(
            spans[0]["status"],
            json!({ "code": 2, "message": "it exited" })
        );
        // The end of a drain that an earlier handover began does not belong to it.
        assert!(spans.iter().all(|span| span["name"] != "drain"));
        assert!(Trace::of(&events(), Generation(9)).is_none());
    }
}
