//! One line of the log, for people and for programs.

use anstyle::AnsiColor;
use jiff::Timestamp;
use portkeep_engine::Generation;
use serde::{Deserialize, Serialize};

use super::query::Query;
use crate::output::{Text, local_time};
use portkeep_engine::journal::Entry;

/// Neighbouring generations differ in colour.
const COLOURS: [AnsiColor; 5] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Magenta,
    AnsiColor::Blue,
];

/// The shape of a line of `portkeep logs --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogLine {
    /// When it was written.
    pub(crate) at: Option<Timestamp>,
    /// The generation that wrote it; none for what is said of the app as a whole.
    pub(crate) generation: Option<Generation>,
    /// The unit; none without systemd.
    pub(crate) unit: Option<String>,
    /// What was written.
    pub(crate) message: String,
}

impl LogLine {
    pub(crate) fn of(entry: &Entry, query: &Query<'_>) -> Self {
        Self {
            at: entry.at(),
            generation: entry.generation(query.name, query.which),
            unit: Some(entry.unit(query.which).to_owned()),
            message: entry.text(),
        }
    }
}

impl LogLine {
    /// For people. A message of several lines stays right of the mark of its generation, so that it cannot pass for
    /// another's.
    pub(crate) fn text(&self) -> Text {
        let at = self.at.map(local_time).unwrap_or_default();
        let message = self.message.replace('\n', &format!("\n{:27}", ""));
        let Some(generation) = self.generation else {
            return Text::from(format!("{at}     -  {message}"));
        };
        let index = usize::try_from(generation.0).unwrap_or(0) % COLOURS.len();
        let number = Text::styled(COLOURS[index].on_default(), format_args!("{generation:>5}"));
        Text::from(format!("{at} ")) + number + format!("  {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_pass_for_another_line_or_move_the_cursor() {
        let line = LogLine {
            at: Some(Timestamp::UNIX_EPOCH),
            generation: Some(Generation(3)),
            unit: None,
            message: "first\n2027-01-01 00:00:00     4  forged\r\x1b[2J".to_owned(),
        };
        let text = line.text().to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[1].trim_start(),
            "2027-01-01 00:00:00     4  forged\\r\\x1b[2J"
        );
        assert!(lines[1].starts_with(&" ".repeat(27)), "{text}");
    }
}
