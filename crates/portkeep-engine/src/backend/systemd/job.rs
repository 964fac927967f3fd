//! A job is a value that resolves to a result.

use std::fmt;

use futures_util::StreamExt;
use zbus::OwnedObjectPath;

use super::manager::ManagerError;
use super::proxy::JobRemovedStream;

/// How a job of the manager ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobResult {
    /// It did what it should.
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

/// Waits for the end of `job`. `removed` was subscribed to before the job was made, so its end cannot be missed; jobs are
/// told apart by their path, since a unit may have had another job before.
pub(super) async fn ended(
    mut removed: JobRemovedStream,
    job: OwnedObjectPath,
) -> Result<JobResult, ManagerError> {
    while let Some(signal) = removed.next().await {
        let arguments = signal.args()?;
        if arguments.job == job {
            return Ok(match arguments.result.as_str() {
                "done" => JobResult::Done,
                other => JobResult::Other(other.to_owned()),
            });
        }
    }
    Err(ManagerError::ConnectionLost)
}
