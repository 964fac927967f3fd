//! Where the time of a portkeep reload goes: from the history, and from what systemd noted of the generation's unit.

use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;

use super::Part;
use crate::place::Place;
use crate::processes::run;

#[derive(Debug, Deserialize)]
struct Event {
    event: String,
    result: Option<String>,
    generation: Option<u64>,
    steps: Option<Steps>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Steps {
    lock_milliseconds: f64,
    take_milliseconds: f64,
    start_milliseconds: f64,
    total_milliseconds: f64,
}

/// What systemd noted of a start, each since the boot.
#[derive(Debug, Clone, Copy)]
struct Noted {
    /// The start began.
    begun: Duration,
    /// systemd's part was over, sandbox and all, and the process became the app.
    executed: Duration,
    /// It told READY.
    ready: Duration,
}

/// Of the last handover in `history`, which is what `portkeep history --json` printed. The units of `place` are asked for
/// where systemd runs them.
pub(super) fn of_last(history: &str, place: &Place, units: bool) -> anyhow::Result<Vec<Part>> {
    let (generation, steps) = last(history)?;
    let noted = match units {
        true => Some(noted(&format!("{}@{generation}.service", place.name))?),
        false => None,
    };
    Ok(parts(steps, noted, place.start))
}

fn last(history: &str) -> anyhow::Result<(u64, Steps)> {
    let events: Vec<Event> = serde_json::from_str(history).context("the history")?;
    let is_handover = |event: &Event| event.event == "handover";
    let last = events.into_iter().rfind(is_handover);
    let last = last.context("the history has no handover")?;
    anyhow::ensure!(
        last.result.as_deref() == Some("handed-over"),
        "the last handover ended as {:?}",
        last.result
    );
    last.generation
        .zip(last.steps)
        .context("a handover without its steps")
}

fn noted(unit: &str) -> anyhow::Result<Noted> {
    let at = |property: &str| -> anyhow::Result<Duration> {
        let value = run(["systemctl", "show", "--value", "-p", property, unit])?;
        let micros = value
            .trim()
            .parse()
            .with_context(|| format!("{property} of {unit}"))?;
        Ok(Duration::from_micros(micros))
    };
    Ok(Noted {
        begun: at("InactiveExitTimestampMonotonic")?,
        // Since systemd 256; the guest of the benchmark has it.
        executed: at("ExecMainHandoffTimestampMonotonic")?,
        ready: at("ActiveEnterTimestampMonotonic")?,
    })
}

fn parts(steps: Steps, noted: Option<Noted>, app: Duration) -> Vec<Part> {
    let time = |milliseconds: f64| Duration::from_secs_f64(milliseconds.max(0.0) / 1000.0);
    let [lock, take, start, total] = [
        steps.lock_milliseconds,
        steps.take_milliseconds,
        steps.start_milliseconds,
        steps.total_milliseconds,
    ]
    .map(time);
    let own = total.saturating_sub(start);
    let mut parts = vec![
        ("lock ms", lock),
        ("take ms", take),
        ("rest ms", own.saturating_sub(lock + take)),
        ("engine ms", own),
    ];
    match noted {
        Some(noted) => {
            let unit = noted.ready.saturating_sub(noted.begun);
            parts.push(("ask ms", start.saturating_sub(unit)));
            parts.push(("unit ms", noted.executed.saturating_sub(noted.begun)));
            let ready = noted.ready.saturating_sub(noted.executed);
            parts.push(("app ms", ready.saturating_sub(app)));
        }
        None => parts.push(("app ms", start.saturating_sub(app))),
    }
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    const HISTORY: &str = r#"[
        {"event":"handover","result":"handed-over","generation":1,
         "steps":{"lockMilliseconds":9,"takeMilliseconds":9,"startMilliseconds":9,"totalMilliseconds":27}},
        {"event":"handover","result":"handed-over","generation":2,
         "steps":{"lockMilliseconds":1,"takeMilliseconds":2,"startMilliseconds":330,"totalMilliseconds":337}},
        {"event":"drained","generation":1}]"#;

    #[test]
    fn the_parts_are_those_of_the_last_handover_and_add_up_to_it() {
        let (generation, steps) = last(HISTORY).unwrap();
        let milliseconds = Duration::from_millis;
        let noted = Noted {
            begun: milliseconds(1000),
            executed: milliseconds(1007),
            ready: milliseconds(1319),
        };
        let parts = parts(steps, Some(noted), milliseconds(300));
        let named = [
            ("lock ms", 1),
            ("take ms", 2),
            ("rest ms", 4),
            ("engine ms", 7),
            ("ask ms", 11),
            ("unit ms", 7),
            ("app ms", 12),
        ];
        assert_eq!(generation, 2);
        assert_eq!(parts, named.map(|(name, time)| (name, milliseconds(time))));
        assert!(last("[]").is_err());
        assert!(last(&HISTORY.replace("handed-over", "failed")).is_err());
    }
}
