//! Operations on many units, and the paths that units are loaded from.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::pin;

use futures_util::stream;
use futures_util::{Stream, StreamExt};
use zbus::OwnedObjectPath;

use super::job::Removed;
use super::manager::{Manager, ManagerError, is_no_such_unit};
use crate::backend::JobResult;

/// A unit's job that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The unit.
    pub unit: String,
    /// How its job ended.
    pub result: JobResult,
}

/// Number of concurrent calls. A bus keeps no more than 128 answers for a connection.
const AT_ONCE: usize = 32;

#[derive(Debug, Clone, Copy)]
enum Job {
    Start,
    Stop,
}

impl Manager {
    /// The directories that it searches for units, the most important first.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn unit_path(&self) -> Result<Vec<PathBuf>, ManagerError> {
        let path = self.systemd.unit_path().await?;
        Ok(path.into_iter().map(PathBuf::from).collect())
    }

    /// Starts units, and waits for all jobs.
    ///
    /// # Errors
    /// When the connection is lost; a job that is refused or fails is not an error but its result.
    pub async fn start_all(&self, units: &[String]) -> Result<Vec<Ended>, ManagerError> {
        self.jobs(Job::Start, units).await
    }

    /// Stops units, and waits for all jobs. One that is not loaded is stopped.
    ///
    /// # Errors
    /// As [`Manager::start_all`].
    pub async fn stop_all(&self, units: &[String]) -> Result<Vec<Ended>, ManagerError> {
        self.jobs(Job::Stop, units).await
    }

    async fn jobs(&self, job: Job, units: &[String]) -> Result<Vec<Ended>, ManagerError> {
        let ask = |unit: &String| {
            let unit = unit.clone();
            async move {
                let asked = match job {
                    Job::Start => self.systemd.start_unit(&unit, "replace").await,
                    Job::Stop => self.systemd.stop_unit(&unit, "replace").await,
                };
                (unit, asked)
            }
        };
        let asked = stream::iter(units).map(ask).buffer_unordered(AT_ONCE);
        all_ended(self.removed_of_all().await?, asked).await
    }
}

/// Waits for the answers to all calls, and for the ends of their jobs. A unit that is not loaded has no job to stop it.
async fn all_ended(
    removed: impl Stream<Item = zbus::Result<Removed>>,
    asked: impl Stream<Item = (String, zbus::Result<OwnedObjectPath>)>,
) -> Result<Vec<Ended>, ManagerError> {
    let (mut removed, mut asked) = (pin!(removed), pin!(asked.fuse()));
    // Including jobs of others, or not known to be ours yet.
    let mut results: HashMap<OwnedObjectPath, JobResult> = HashMap::new();
    let mut jobs: Vec<(String, OwnedObjectPath)> = Vec::new();
    let mut ended = Vec::new();
    loop {
        jobs.retain(|(unit, job)| match results.get(job) {
            None => true,
            Some(result) => {
                ended.push(Ended {
                    unit: unit.clone(),
                    result: result.clone(),
                });
                false
            }
        });
        if asked.is_done() && jobs.is_empty() {
            return Ok(ended);
        }
        tokio::select! {
            answer = asked.next(), if !asked.is_done() => match answer {
                None => {}
                Some((unit, answer)) => match answer {
                Ok(job) => jobs.push((unit, job)),
                Err(error) if is_no_such_unit(&error) => ended.push(Ended { unit, result: JobResult::Done }),
                Err(zbus::Error::MethodError(name, why, _)) => ended.push(Ended {
                    unit,
                    result: JobResult::Other(why.unwrap_or_else(|| name.to_string())),
                }),
                Err(error) => return Err(error.into()),
            }},
            signal = removed.next() => {
                let signal = signal.ok_or(ManagerError::ConnectionLost)??;
                let result = signal.result();
                results.insert(signal.job, result);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(number: u32) -> OwnedObjectPath {
        OwnedObjectPath::try_from(format!("/job/{number}")).unwrap()
    }

    #[tokio::test]
    async fn the_ends_of_all_jobs_are_awaited_in_any_order() {
        let signal = |number, result: &str| {
            Ok(Removed {
                job: path(number),
                result: result.to_owned(),
            })
        };
        let signals = [signal(2, "done"), signal(9, "failed"), signal(1, "failed")];
        // A manager continues to report others, and never ends.
        let signals = stream::iter(signals).chain(stream::pending());
        let asked = [("a.socket", 1), ("b.socket", 2)];
        let asked = asked.map(|(unit, number)| (unit.to_owned(), Ok(path(number))));
        let mut ended = all_ended(signals, stream::iter(asked)).await.unwrap();
        ended.sort_by(|one, other| one.unit.cmp(&other.unit));
        let results: Vec<_> = ended.iter().map(|one| one.result.to_string()).collect();
        assert_eq!(results, ["failed", "done"]);
    }

    #[tokio::test]
    async fn nothing_is_awaited_where_nothing_is_asked() {
        let none = all_ended(stream::pending(), stream::iter([])).await;
        assert!(none.unwrap().is_empty());
    }
}
