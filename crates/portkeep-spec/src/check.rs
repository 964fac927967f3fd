//! A command that must succeed before a new build is published.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A check: one line for the shell (`"cargo test && ./lint"`), or the words of a command (`["cargo", "test"]`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a check is a command line (\"cargo test\") or a list of words ([\"cargo\", \"test\"])"
)]
pub enum Check {
    /// A line for `sh -c`.
    Line(String),
    /// A program and its arguments, run without a shell.
    Words(Vec<String>),
}

impl Check {
    /// The program and its arguments; a line becomes `sh -c LINE`.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        match self {
            Self::Line(line) => vec!["sh".to_owned(), "-c".to_owned(), line.clone()],
            Self::Words(words) => words.clone(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Line(line) => line.trim().is_empty(),
            Self::Words(words) => words.first().is_none_or(String::is_empty),
        }
    }
}
