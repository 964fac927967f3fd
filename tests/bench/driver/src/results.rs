//! What was measured, as it is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// When, where, with what: name and value.
    pub(crate) about: Vec<(String, String)>,
    pub(crate) tools: Vec<About>,
    pub(crate) measurements: Vec<Measurement>,
}

/// A tool of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) used: String,
    pub(crate) version: String,
}

/// One measurement of one tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) row: u32,
    /// What was done, within the row.
    pub(crate) case: String,
    pub(crate) tool: String,
    pub(crate) round: u32,
    /// By name, which ends in the unit.
    pub(crate) values: BTreeMap<String, f64>,
    /// What is no number.
    pub(crate) words: BTreeMap<String, String>,
    /// Why there is no measurement.
    pub(crate) error: Option<String>,
}

impl Measurement {
    pub(crate) fn of(case: impl Into<String>) -> Self {
        Self {
            case: case.into(),
            ..Self::default()
        }
    }

    #[must_use]
    pub(crate) fn count(mut self, name: &str, count: u64) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "nobody counts that far")]
        self.values.insert(name.to_owned(), count as f64);
        self
    }

    #[must_use]
    pub(crate) fn value(mut self, name: &str, value: f64) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// In milliseconds.
    #[must_use]
    pub(crate) fn time(self, name: &str, time: Duration) -> Self {
        self.value(name, time.as_secs_f64() * 1000.0)
    }

    #[must_use]
    pub(crate) fn word(mut self, name: &str, word: impl Into<String>) -> Self {
        self.words.insert(name.to_owned(), word.into());
        self
    }
}
