//! Output of all commands.

pub(crate) mod changes;
mod ending;
pub(crate) mod fault;
mod foreign;
mod history;
mod outcome;
mod sink;
mod text;

use portkeep_engine::Outcome;
use portkeep_spec::AppName;

pub(crate) use ending::ending_line;
pub(crate) use foreign::inline;
pub(crate) use history::{record_line, repeated_line};
pub(crate) use outcome::{HandoverReport, InstallReport, ServingReport};
pub(crate) use sink::{
    Warnings, follow, follow_json, json, lost, print, print_all, print_error, raw, relay,
    relay_text, stderr, stdout,
};
pub(crate) use text::Text;

/// Prints a line, as `println!` does. The text for `{}` may come from anybody.
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

/// Columns that every terminal has.
pub(crate) const COLUMNS: usize = 80;

/// A line cut to [`COLUMNS`]. Its text cannot break the line.
pub(crate) fn clip(line: &str) -> String {
    let line = inline(line);
    if line.chars().count() <= COLUMNS {
        return line.into_owned();
    }
    line.chars().take(COLUMNS - 1).chain(['…']).collect()
}

/// Columns of the terminal; [`COLUMNS`] if the output is no terminal.
pub(crate) fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(stdout()).ok();
    let columns = size.map(|size| usize::from(size.ws_col));
    columns.filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// Text in lines of at most [`COLUMNS`], indented. A longer word stays whole: it may be a path to copy.
pub(crate) fn wrapped(text: &str, indent: usize) -> Vec<String> {
    wrapped_to(COLUMNS, text, indent, indent)
}

/// The same for a terminal of so many columns, with an indent of its own for the first line. What stands between two words on
/// one line stays as it is.
pub(crate) fn wrapped_to(columns: usize, text: &str, first: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = " ".repeat(first);
    let mut is_empty = true;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let word = rest.split_whitespace().next().unwrap_or_default();
        let gap = rest.find(word).unwrap_or(0);
        let length = line.chars().count() + gap + word.chars().count();
        if !is_empty && length > columns {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if !is_empty {
            let between = Some(&rest[..gap]).filter(|gap| gap.chars().all(|c| c == ' '));
            line.push_str(between.unwrap_or(" "));
        }
        line.push_str(word);
        is_empty = false;
        rest = &rest[gap + word.len()..];
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
        Outcome::HandedOver(record) | Outcome::Holding(record) | Outcome::InMaintenance(record) => {
            record.line(name)
        }
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
        assert_eq!(wrapped_to(9, "a  b   cdef gh", 0, 2), ["a  b", "  cdef gh"]);
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
