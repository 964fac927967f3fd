//! Lines of the history, as text.

use std::time::Duration;

use portkeep_engine::store::{Decision, HandoverRecord, HistoryEvent, Repeated, TakenOutReason};
use portkeep_engine::{Digest, Generation};
use portkeep_spec::Label;

use super::{local_time, span};

/// One line of the history; events that came again and again have one together.
pub(crate) fn repeated_line(repeated: &Repeated) -> String {
    let line = event_line(&repeated.event);
    match repeated.count {
        1 => line,
        count => format!(
            "{line}  ({count} times since {})",
            local_time(repeated.first_at)
        ),
    }
}

/// One line of the history.
fn event_line(event: &HistoryEvent) -> String {
    let line = |at: jiff::Timestamp,
                word: &str,
                generation: Option<Generation>,
                digest: Option<&Digest>,
                label: Option<&Label>,
                rest: String| {
        let generation = number(generation);
        let digest = digest.map_or("-", Digest::short);
        let label = bracketed(label);
        format!(
            "{}  {word:<11} {generation:>5}  {digest:<12} {label}{rest}",
            local_time(at)
        )
    };
    match event {
        HistoryEvent::Handover(record) => record_line(record),
        HistoryEvent::Crash(crash) => {
            let decision = match (crash.decision, crash.pause_milliseconds) {
                (Decision::Restart, Some(pause)) => format!("started again in {pause} ms"),
                (Decision::GiveUp, _) => "its release was given up".to_owned(),
                _ => "not started again".to_owned(),
            };
            let rest = format!("{} ({} recently); {decision}", crash.reason, crash.crashes);
            line(
                crash.at,
                "crashed",
                Some(crash.generation),
                crash.digest.as_ref(),
                crash.label.as_ref(),
                rest,
            )
        }
        HistoryEvent::Drained(drained) => {
            let said = [drained.status.as_str(), drained.reason.as_str()];
            let rest = said.iter().find(|text| !text.is_empty());
            let rest = rest.copied().unwrap_or_default().to_owned();
            line(
                drained.at,
                "drained",
                Some(drained.generation),
                drained.digest.as_ref(),
                drained.label.as_ref(),
                rest,
            )
        }
        HistoryEvent::TakenOut(record) => {
            let grace = Duration::from_millis(record.grace_milliseconds);
            let rest = match record.cause {
                TakenOutReason::Shutdown => {
                    format!(
                        "the machine shuts down; connections end after {}",
                        span(grace)
                    )
                }
                _ => format!(
                    "somebody asked for it; connections end after {}",
                    span(grace)
                ),
            };
            line(
                record.at,
                "taken out",
                record.generation,
                record.digest.as_ref(),
                record.label.as_ref(),
                rest,
            )
        }
        HistoryEvent::PutBack(record) => {
            let rest = format!("it was taken out at {}", local_time(record.since));
            line(
                record.at,
                "put back",
                record.generation,
                record.digest.as_ref(),
                record.label.as_ref(),
                rest,
            )
        }
        other => format!("{other:?}"),
    }
}

/// One line about a handover.
pub(crate) fn record_line(record: &HandoverRecord) -> String {
    let at = local_time(record.at);
    let generation = number(record.generation);
    let digest = record.digest.as_ref().map_or("-", |digest| digest.short());
    let label = bracketed(record.label.as_ref());
    let reason = record.first_clause().map(|reason| format!("  {reason}"));
    format!(
        "{at}  {:<11} {generation:>5}  {digest:<12} {:>7.0} ms  {label}{}{}",
        record.result,
        record.steps.total_milliseconds,
        record.purpose,
        reason.unwrap_or_default(),
    )
}

fn number(generation: Option<Generation>) -> String {
    generation.map_or_else(|| "-".to_owned(), |generation| generation.to_string())
}

/// What people call the release, before the rest of a line.
fn bracketed(label: Option<&Label>) -> String {
    label.map_or_else(String::new, |label| format!("[{label}] "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash(second: u32) -> HistoryEvent {
        let json = format!(
            r#"{{"event":"crash","at":"2026-01-01T00:00:0{second}Z","generation":7,"digest":null,"reason":"it exited",
            "crashes":{second},"decision":"restart","pauseMilliseconds":100}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn an_app_that_is_taken_out_and_put_back_says_so() {
        let event = |json: &str| serde_json::from_str::<HistoryEvent>(json).unwrap();
        let out = |cause: &str| {
            event(&format!(
                r#"{{"event":"taken-out","at":"2026-01-01T00:00:01Z","cause":"{cause}","graceMilliseconds":10000,
                "generation":7,"digest":null,"label":"v1"}}"#
            ))
        };
        let back = r#"{"event":"put-back","at":"2026-01-01T00:00:09Z","since":"2026-01-01T00:00:01Z","generation":null,
            "digest":null,"label":null}"#;
        for (event, ends) in [
            (
                out("asked"),
                "7  -            [v1] somebody asked for it; connections end after 10 s",
            ),
            (
                out("shutdown"),
                "7  -            [v1] the machine shuts down; connections end after 10 s",
            ),
            (
                event(back),
                &format!(
                    "-  -            it was taken out at {}",
                    local_time(out("asked").at())
                ),
            ),
        ] {
            let line = event_line(&event);
            assert!(line.ends_with(ends), "{line}");
        }
    }

    #[test]
    fn what_came_again_says_how_often_and_since_when() {
        let once = Repeated::once(crash(1));
        let line = repeated_line(&once);
        assert!(line.ends_with("started again in 100 ms"), "{line}");
        let folded = portkeep_engine::store::fold(vec![crash(1), crash(2), crash(3)]);
        assert_eq!(folded.len(), 1);
        let line = repeated_line(&folded[0]);
        let (first, last) = (crash(1).at(), crash(3).at());
        assert!(line.starts_with(&local_time(last)), "{line}");
        let since = format!("(3 times since {})", local_time(first));
        assert!(line.ends_with(&since), "{line}");
    }
}
