//! One line of the log, for people and for programs.

use std::fmt;

use anstyle::AnsiColor;
use jiff::Timestamp;
use portkeep_engine::Generation;
use serde::{Deserialize, Serialize};

use super::query::Query;
use crate::journal::Entry;
use crate::output::local_time;

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

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.map(local_time).unwrap_or_default();
        let Some(generation) = self.generation else {
            return write!(f, "{at}     -  {}", self.message);
        };
        let index = usize::try_from(generation.0).unwrap_or(0) % COLOURS.len();
        let colour = COLOURS[index].on_default();
        write!(
            f,
            "{at} {colour}{generation:>5}{colour:#}  {}",
            self.message
        )
    }
}
