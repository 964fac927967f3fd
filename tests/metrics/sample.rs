//! An app of which everything is known.

use portkeep_engine::metrics::{AppSample, Serving, SocketSample};
use portkeep_engine::store::{HistoryEvent, Totals};
use portkeep_engine::{Digest, Generation};
use portkeep_spec::Manager;
use serde_json::{Value, json};

/// Its history: two handovers, a holding page in between, a drain and a crash.
pub(crate) fn history() -> Vec<HistoryEvent> {
    let handover = |second: u32, generation: u64, result: &str| -> Value {
        json!({
            "event": "handover", "at": format!("2026-01-01T00:00:{second:02}Z"), "id": format!("job-{generation}"),
            "purpose": "reload", "result": result, "generation": generation, "previous": generation - 1, "digest": "0123456789abcdef",
            "label": "v1", "source": "/srv/hello", "drained": [generation - 1], "reason": null,
            "steps": { "lockMilliseconds": 0.5, "takeMilliseconds": 12, "releaseMilliseconds": 0, "startMilliseconds": 20,
                       "totalMilliseconds": 40 },
        })
    };
    let drained = json!({
        "event": "drained", "at": "2026-01-01T00:00:50Z", "generation": 6, "digest": null, "invocation": "a",
        "status": "drained in 1.2s: 7 answered, 50 moved, 2 idle closed, cut 4: 4 busy; 1234000 answered in all",
        "reason": "it exited with status 0",
    });
    let crash = json!({
        "event": "crash", "at": "2026-01-01T00:00:55Z", "generation": 7, "digest": null, "reason": "it exited with status 1",
        "crashes": 1, "decision": "restart", "pauseMilliseconds": 100,
    });
    let taken_out = json!({
        "event": "taken-out", "at": "2026-01-01T00:00:58Z", "cause": "asked", "graceMilliseconds": 10_000, "generation": 7,
        "digest": "0123456789abcdef", "label": "v1",
    });
    let events = [
        handover(5, 5, "handed-over"),
        handover(10, 6, "holding"),
        handover(40, 7, "handed-over"),
        drained,
        crash,
        taken_out,
    ];
    events
        .into_iter()
        .map(|event| serde_json::from_value(event).unwrap())
        .collect()
}

fn digest() -> Digest {
    serde_json::from_value(json!("0123456789abcdef")).unwrap()
}

/// That app, and one that was never started.
pub(crate) fn apps() -> Vec<AppSample> {
    let mut totals = Totals::default();
    history().iter().for_each(|event| totals.add(event));
    let last = history().into_iter().rev().find_map(|event| match event {
        HistoryEvent::Handover(record) => Some(record),
        _ => None,
    });
    let hello = AppSample {
        name: "hello".parse().unwrap(),
        which: Manager::System,
        at: "2026-01-01T00:01:00Z".parse().unwrap(),
        serving: Serving::Release,
        current: Some(Generation(7)),
        release: Some(digest()),
        label: Some(r#"say "hi" \ 100%"#.parse().unwrap()),
        draining: 1,
        taken_out: true,
        sockets: vec![SocketSample {
            unit: "hello.socket".to_owned(),
            is_open: true,
        }],
        last,
        totals,
        answered_since: 567,
    };
    let idle = AppSample {
        name: "idle".parse().unwrap(),
        serving: Serving::Nothing,
        current: None,
        release: None,
        label: None,
        draining: 0,
        taken_out: false,
        sockets: Vec::new(),
        last: None,
        totals: Totals::default(),
        answered_since: 0,
        ..hello.clone()
    };
    vec![hello, idle]
}
