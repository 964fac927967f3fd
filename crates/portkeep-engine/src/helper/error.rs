//! Errors of a helper.

use std::path::PathBuf;

use portkeep_spec::{AppName, Span, SpecError};

use crate::backend::{BackendError, JobResult};
use crate::error::EngineError;
use crate::execute::chain;
use crate::stop_limits::ShortLimit;
use crate::store::RollbackError;

/// Why a helper, or a person's command, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelperError {
    /// The spec cannot be read.
    #[error("cannot use the spec {}", .path.display())]
    Spec {
        /// Its file.
        path: PathBuf,
        /// Its error.
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
        /// The result of its job.
        job: JobResult,
        /// The reason that its helper wrote to the history.
        reason: Option<String>,
    },
    /// The handle is up, and the current generation is unknown.
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

    /// Whether the release or its start failed: with another spec the same handover may succeed. A held lock, or a manager
    /// that does not answer, affects every spec.
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
