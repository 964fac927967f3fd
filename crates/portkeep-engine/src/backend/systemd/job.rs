//! Job of systemd as a value that resolves to a result.

use std::pin::pin;

use futures_util::{Stream, StreamExt};
use zbus::OwnedObjectPath;

use super::manager::ManagerError;
use crate::backend::JobResult;

/// The end of a job.
#[derive(Debug, Clone)]
pub(super) struct Removed {
    pub(super) job: OwnedObjectPath,
    pub(super) result: String,
}

impl Removed {
    pub(super) fn result(&self) -> JobResult {
        JobResult::from(self.result.as_str())
    }

    /// The number of the job, the last part of its path.
    pub(super) fn number(&self) -> Option<u32> {
        self.job.as_str().rsplit('/').next()?.parse().ok()
    }
}

/// Makes a job by calling `ask`, and waits for its end. `removed` was subscribed before the call, so the end cannot be
/// missed; jobs are identified by their path, since a unit may have had another job before.
///
/// Signals are read while the answer to the call is awaited: a connection has a queue of limited length for them, and reads
/// nothing more, not even the answer, while it is full. The ends of some dozens of other units fill it.
pub(super) async fn ended(
    removed: impl Stream<Item = zbus::Result<Removed>>,
    ask: impl Future<Output = zbus::Result<OwnedObjectPath>>,
) -> Result<Removed, ManagerError> {
    let (mut removed, mut ask) = (pin!(removed), pin!(ask));
    let mut job = None;
    // Ours may be among them.
    let mut before = Vec::new();
    loop {
        let signal = tokio::select! {
            answer = &mut ask, if job.is_none() => {
                let answer = answer?;
                if let Some(ended) = before.iter().find(|removed: &&Removed| removed.job == answer) {
                    return Ok(ended.clone());
                }
                job = Some(answer);
                continue;
            }
            signal = removed.next() => signal.ok_or(ManagerError::ConnectionLost)??,
        };
        match &job {
            None => before.push(signal),
            Some(job) if signal.job == *job => return Ok(signal),
            Some(_another) => {}
        }
    }
}

impl From<&str> for JobResult {
    fn from(result: &str) -> Self {
        match result {
            "done" => Self::Done,
            other => Self::Other(other.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    fn removed(number: u32, result: &str) -> Removed {
        Removed {
            job: path(number),
            result: result.to_owned(),
        }
    }

    fn path(number: u32) -> OwnedObjectPath {
        OwnedObjectPath::try_from(format!("/job/{number}")).unwrap()
    }

    /// Signals before and after the answer, on a connection that queues one.
    async fn told(before: Vec<Removed>, after: Vec<Removed>) -> Result<JobResult, ManagerError> {
        let (queue, signals) = mpsc::channel(1);
        let signals = futures_util::stream::unfold(signals, |mut signals| async {
            Some((Ok(signals.recv().await?), signals))
        });
        let ask = async move {
            for signal in before {
                queue.send(signal).await.unwrap();
            }
            tokio::spawn(async move {
                for signal in after {
                    let _ = queue.send(signal).await;
                }
            });
            Ok(path(7))
        };
        let ended = timeout(Duration::from_secs(10), ended(signals, ask)).await;
        ended.unwrap().map(|removed| {
            assert_eq!(removed.number(), Some(7));
            removed.result()
        })
    }

    #[tokio::test]
    async fn many_other_jobs_that_end_do_not_keep_the_answer_back() {
        let others: Vec<_> = (100..300).map(|number| removed(number, "done")).collect();
        let ours = [others.clone(), vec![removed(7, "failed")]].concat();
        let result = told(others, ours).await.unwrap();
        assert_eq!(result, JobResult::Other("failed".to_owned()));
    }

    #[tokio::test]
    async fn an_end_that_is_told_before_the_answer_counts() {
        let before = vec![
            removed(6, "failed"),
            removed(7, "done"),
            removed(8, "failed"),
        ];
        assert_eq!(told(before, Vec::new()).await.unwrap(), JobResult::Done);
    }

    #[tokio::test]
    async fn a_connection_that_ends_is_an_error() {
        let lost = told(vec![removed(6, "done")], Vec::new()).await;
        assert!(matches!(lost, Err(ManagerError::ConnectionLost)));
    }
}
