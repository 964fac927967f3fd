//! What is printed, and how.

pub(crate) mod changes;
mod foreign;
mod sink;
mod text;

use portkeep_engine::store::{Decision, HandoverRecord, HistoryEvent};
use portkeep_engine::{Digest, Outcome};
use portkeep_spec::AppName;

pub(crate) use foreign::inline;
pub(crate) use sink::{
    Warnings, follow, follow_json, json, lost, print, print_error, raw, relay, relay_text, stderr,
};
pub(crate) use text::Text;

/// Prints a line, as `println!` does. What is written in by `{}` may be anybody's.
macro_rules! outln {
    ($($words:tt)*) => {
        $crate::output::print(format_args!($($words)*))
    };
}

/// Prints a line on standard error.
macro_rules! errln {
    ($($words:tt)*) => {
        $crate::output::print_error(format_args!($($words)*))
    };
}

pub(crate) use {errln, outln};

/// Columns of a terminal that everybody has.
pub(crate) const COLUMNS: usize = 80;

/// A line cut to [`COLUMNS`], which is one line whatever is in it.
pub(crate) fn clip(line: &str) -> String {
    let line = inline(line);
    if line.chars().count() <= COLUMNS {
        return line.into_owned();
    }
    line.chars().take(COLUMNS - 1).chain(['…']).collect()
}

/// Text in lines of at most [`COLUMNS`], indented. A longer word stays whole: it may be a path to copy.
pub(crate) fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let margin = " ".repeat(indent);
    let mut lines = Vec::new();
    let mut line = margin.clone();
    for word in text.split_whitespace() {
        let length = line.chars().count() + 1 + word.chars().count();
        if line.len() > indent && length > COLUMNS {
            lines.push(std::mem::replace(&mut line, margin.clone()));
        }
        if line.len() > indent {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A point in time as clocks here show it.
pub(crate) fn local_time(at: jiff::Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// A span in its two largest units: `3 d 4 h`, `2 min 5 s`, `0.4 s`.
pub(crate) fn span(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// One line about what a handover did.
pub(crate) fn outcome_line(name: &AppName, outcome: &Outcome) -> String {
    match outcome {
        Outcome::HandedOver(record) => match (record.generation, &record.reason) {
            (Some(generation), None) => format!(
                "{name}: generation {generation} serves, READY after {:.0} ms ({:.0} ms in all)",
                record.steps.start_milliseconds, record.steps.total_milliseconds,
            ),
            (Some(generation), Some(reason)) => {
                format!(
                    "{name}: generation {generation} serves the last good release, because {reason}"
                )
            }
            (None, _) => format!("{name}: no generation was started"),
        },
        Outcome::Holding(record) => format!(
            "{name}: nothing can serve, and generation {} answers so (503), because {}",
            record.generation.map_or(0, |generation| generation.0),
            record.reason.as_deref().unwrap_or("of an unknown reason"),
        ),
        Outcome::Unchanged(generation) => {
            format!("{name}: unchanged, generation {generation} serves on")
        }
        Outcome::KnownBad(digest) => {
            format!(
                "{name}: release {digest} failed before and did not change; `portkeep reload {name}` tries it again"
            )
        }
        other => format!("{name}: {other:?}"),
    }
}

/// One line of the history.
pub(crate) fn event_line(event: &HistoryEvent) -> String {
    let line = |at: jiff::Timestamp, word: &str, generation, digest: Option<&Digest>, rest| {
        let digest = digest.map_or("-", Digest::short);
        format!(
            "{}  {word:<11} {generation:>5}  {digest:<12} {rest}",
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
                crash.generation,
                crash.digest.as_ref(),
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
                drained.generation,
                drained.digest.as_ref(),
                rest,
            )
        }
        other => format!("{other:?}"),
    }
}

/// One line about a handover.
pub(crate) fn record_line(record: &HandoverRecord) -> String {
    let at = local_time(record.at);
    let generation = record
        .generation
        .map_or_else(|| "-".to_owned(), |generation| generation.to_string());
    let digest = record.digest.as_ref().map_or("-", |digest| digest.short());
    // The first clause; the app's last lines follow it in the record.
    let first_clause = |reason: &str| {
        reason
            .lines()
            .next()
            .and_then(|line| line.split("; its last lines").next().map(str::to_owned))
    };
    let reason = record
        .reason
        .as_deref()
        .and_then(first_clause)
        .map(|reason| format!("  {reason}"));
    format!(
        "{at}  {:<11} {generation:>5}  {digest:<12} {:>7.0} ms  {}{}",
        record.result,
        record.steps.total_milliseconds,
        record.purpose,
        reason.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn long_text_fits_a_terminal() {
        let text = "word ".repeat(60);
        for line in wrapped(&text, 4) {
            assert!(
                line.chars().count() <= COLUMNS && line.starts_with("    word"),
                "{line}"
            );
        }
        assert_eq!(wrapped("", 2), ["  "]);
        assert_eq!(wrapped(&"x".repeat(100), 2)[0].len(), 102);
        assert_eq!(clip(&"é".repeat(100)).chars().count(), COLUMNS);
        assert_eq!(clip("short"), "short");
    }

    #[test]
    fn spans_for_people() {
        for (milliseconds, text) in [
            (400, "0.4 s"),
            (59_999, "59 s"),
            (125_000, "2 min 5 s"),
            (7_300_000, "2 h 1 min"),
            (180_000_000, "2 d 2 h"),
        ] {
            assert_eq!(span(Duration::from_millis(milliseconds)), text);
        }
    }
}
