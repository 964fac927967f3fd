//! The rows of the table: one kind of measurement a file.

mod bad_release;
mod build;
mod burst;
mod idle;
mod reloads;
mod steady;
mod streams;
mod switch;

use std::time::Duration;

use crate::results::Measurement;
use crate::serving::Bench;
use crate::tool::Tool;

/// A row.
pub(crate) struct Row {
    pub(crate) number: u32,
    /// One column of the table each: the name of a value or of a word, and its title.
    pub(crate) columns: &'static [(&'static str, &'static str)],
    pub(crate) title: &'static str,
    pub(crate) explained: &'static str,
    /// Cases that are shown as a picture too: the case, and the value.
    pub(crate) charts: &'static [(&'static str, &'static str)],
    /// How often it is measured, if the run does not say and there is time.
    pub(crate) rounds: u32,
    /// About how long that takes for a tool, each time: for the estimate at the start.
    pub(crate) takes: Duration,
    pub(crate) measure: Measure,
}

impl Row {
    /// Whether a tool is measured in it.
    pub(crate) fn has(&self, tool: &dyn Tool) -> bool {
        match self.measure {
            Measure::Each(_) => tool.rows().is_none_or(|rows| rows.contains(&self.number)),
            Measure::Together(_) => !tool.develop().is_empty(),
        }
    }
}

/// What was seen, or why nothing could be.
pub(crate) type Measured = anyhow::Result<Vec<Measurement>>;

/// How tools are measured.
pub(crate) enum Measure {
    /// One after the other; what is measured is of that tool.
    Each(fn(&Bench, &dyn Tool) -> Measured),
    /// All in one go, in which they take turns; each measurement names its tool.
    Together(fn(&Bench, &[Box<dyn Tool>]) -> Measured),
}

/// All of them, in order.
pub(crate) const ALL: [Row; 8] = [
    reloads::ROW,
    streams::ROW,
    bad_release::ROW,
    burst::ROW,
    switch::ROW,
    build::ROW,
    idle::ROW,
    steady::ROW,
];
