//! Errors of a helper.

use std::path::PathBuf;

use portkeep_spec::{AppName, Span, SpecError};

use crate::backend::{BackendError, JobResult};
use crate::error::EngineError;
use crate::execute::chain;
use crate::stop_limits::ShortLimit;
use crate::store::RollbackError;

/// Why a helper, or a command of a person, could not do what it was called for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelperError {
    /// The spec cannot be read.
    #[error("cannot use the spec {}", .path.display())]
    Spec {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<SpecError>,
    },
    /// The manager has no units of this app.
    #[error("the app {0} is not installed")]
    NotInstalled(AppName),
    /// The job of the app's handle did not succeed.
    #[error("the job of {unit} ended with `{job}`{}", because(.reason.as_deref(), .unit))]
    Job {
        /// The handle.
        unit: String,
        /// How its job ended.
        job: JobResult,
        /// What its helper left in the history.
        reason: Option<String>,
    },
    /// The handle is up, and nobody knows what serves.
    #[error("the handle is up, but no generation is current; see `portkeep history {0}`")]
    NothingCurrent(AppName),
    /// No release to roll back to.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// A shutdown of the machine would end the grace early.
    #[error(
        "a grace of {} is too long: a shutdown of the machine would end it after {} (TimeoutStopSec= of {}); take a shorter one, \
         or see `portkeep doctor`",
        Span(.0.wanted), Span(.0.limit), .0.unit
    )]
    GraceCut(Box<ShortLimit>),
    /// The handover failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<BackendError> for HelperError {
    fn from(error: BackendError) -> Self {
        Self::Engine(error.into())
    }
}

impl HelperError {
    /// The error with all its causes, in one line.
    #[must_use]
    pub fn with_causes(&self) -> String {
        chain(self)
    }

    /// Whether it is the release or its start that failed: with another spec the same handover may succeed. A lock that is held,
    /// or a manager that does not answer, is so for every spec.
    pub(super) fn is_of_the_release(&self) -> bool {
        matches!(
            self,
            Self::Engine(EngineError::StartFailed { .. } | EngineError::Refused(_))
        )
    }
}

fn because(reason: Option<&str>, unit: &str) -> String {
    match reason {
        Some(reason) => format!(": {reason}"),
        None => format!("; see `systemctl status {unit}`"),
    }
}
