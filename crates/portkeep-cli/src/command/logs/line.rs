//! One line of the log, for people and for programs.

use anstyle::AnsiColor;
use portkeep_engine::journal::Entry;

use super::query::Query;
use crate::control::LogLine;
use crate::output::{Text, local_time};

/// Consecutive generations get different colours.
const COLOURS: [AnsiColor; 5] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Magenta,
    AnsiColor::Blue,
];

/// The line of a journal entry.
pub(super) fn of(entry: &Entry, query: &Query<'_>) -> LogLine {
    LogLine {
        at: entry.at(),
        generation: entry.generation(query.name, query.which),
        unit: Some(entry.unit(query.which).to_owned()),
        message: entry.text(),
    }
}

/// Text for people. Further lines of a message are indented, so that they cannot pass for another generation's.
pub(super) fn text(line: &LogLine) -> Text {
    let at = line.at.map(local_time).unwrap_or_default();
    let message = line.message.replace('\n', &format!("\n{:27}", ""));
    let Some(generation) = line.generation else {
        return Text::from(format!("{at}     -  {message}"));
    };
    let index = usize::try_from(generation.0).unwrap_or(0) % COLOURS.len();
    let number = Text::styled(COLOURS[index].on_default(), format_args!("{generation:>5}"));
    Text::from(format!("{at} ")) + number + format!("  {message}")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use portkeep_engine::Generation;

    use super::*;

    #[test]
    fn a_message_cannot_pass_for_another_line_or_move_the_cursor() {
        let line = LogLine {
            at: Some(Timestamp::UNIX_EPOCH),
            generation: Some(Generation(3)),
            unit: None,
            message: "first\n2027-01-01 00:00:00     4  forged\r\x1b[2J".to_owned(),
        };
        let text = super::text(&line).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[1].trim_start(),
            "2027-01-01 00:00:00     4  forged\\r\\x1b[2J"
        );
        assert!(lines[1].starts_with(&" ".repeat(27)), "{text}");
    }
}
