//! Number of a generation, and the phases of its life.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a generation: 1, 2, 3 …, never used twice for one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The phase of a generation, as its manager sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Started, not READY yet (or waiting to be restarted after a crash).
    Starting,
    /// READY and accepting connections.
    Serving,
    /// Told to stop: it finishes its requests.
    Draining,
}

/// A generation that has processes, or will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Running {
    /// Its number.
    pub generation: Generation,
    /// Its phase.
    pub phase: Phase,
}
