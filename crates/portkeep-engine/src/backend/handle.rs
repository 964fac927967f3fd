//! State of an app's handle, as its manager reports it.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;

use super::{Backend, BackendError};

/// How a job of a manager ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobResult {
    /// It succeeded.
    Done,
    /// Anything else: `failed`, `timeout`, `canceled`, `dependency`, `skipped` …
    Other(String),
}

impl fmt::Display for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Other(result) => f.write_str(result),
        }
    }
}

/// State of a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandleState {
    /// The manager has no unit of that name: the app is not installed.
    Missing,
    /// It does not run: the next connection starts it.
    Inactive,
    /// It runs: a generation serves, or will.
    Active,
}

/// A manager that runs the generations of an app, and has its handle.
pub trait HandleUnit: Backend {
    /// The state of the handle.
    fn handle(&self) -> impl Future<Output = Result<HandleState, BackendError>> + Send;

    /// The number of the handle's job, if it has one.
    fn handle_job(&self) -> impl Future<Output = Result<Option<u32>, BackendError>> + Send;

    /// The spec that the handle's unit names now; none if it names none.
    fn installed_spec(&self) -> impl Future<Output = Result<Option<PathBuf>, BackendError>> + Send;

    /// Starts the handle, and waits for the job.
    fn start_handle(&self) -> impl Future<Output = Result<JobResult, BackendError>> + Send;

    /// Reloads the handle, or starts it if it does not run, and waits for the job. Returns the job's number, too.
    fn reload_handle(
        &self,
    ) -> impl Future<Output = Result<(Option<u32>, JobResult), BackendError>> + Send;

    /// Requests another look at the secrets, without waiting for it.
    fn secrets_again(&self) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Requests another deploy, without waiting for it.
    fn deploy_again(&self) -> impl Future<Output = Result<(), BackendError>> + Send;
}
