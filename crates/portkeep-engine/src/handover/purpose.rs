//! Purpose of a handover: who asks for it, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Purpose of a handover. It decides how an unchanged, a bad or a missing release is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The handle starts: always starts a generation, also of an unchanged release; one known to be bad gives way to
    /// the last good one.
    Activate,
    /// A connection waits, and nothing served when it came: if something serves by now, that is enough, otherwise the same
    /// as [`Self::Activate`].
    #[serde(skip_deserializing, rename(serialize = "activate"))]
    Connect,
    /// A person (or a switch tool) asks: an unchanged release is done, a bad one is tried again.
    Reload,
    /// The build output changed: an unchanged release and one known to be bad are both done.
    Deploy,
    /// A person asks for a kept release, even one that is known to be bad.
    Rollback,
    /// A secret changed: an unchanged release and one known to be bad are both done.
    Secrets,
    /// A person begins maintenance, or ends it: its page is shown, or a release replaces the page.
    Maintenance,
    /// A holding page has been shown for some time: the reason of the failure may be gone.
    Retry,
}

impl Purpose {
    /// Its word in the history.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activate | Self::Connect => "activate",
            Self::Reload => "reload",
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Secrets => "secrets",
            Self::Maintenance => "maintenance",
            Self::Retry => "retry",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether an unchanged release is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchanged {
    /// It is done already.
    IsDone,
    /// It is started as a new generation (`reload --force`).
    IsStarted,
}
