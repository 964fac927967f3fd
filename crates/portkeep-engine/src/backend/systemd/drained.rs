//! Waits until old generations have ended, by signals of the manager.

use std::pin::pin;

use futures_util::{Stream, StreamExt, stream};
use portkeep_spec::{AppName, unit_names};

use super::manager::{Manager, ManagerError};
use super::phase_of;
use crate::generation::{Generation, Phase};

impl Manager {
    /// The generations of `apps` that drain.
    ///
    /// # Errors
    /// When the manager does not answer.
    pub async fn draining(
        &self,
        apps: &[AppName],
    ) -> Result<Vec<(AppName, Generation)>, ManagerError> {
        let units = self.list(&["*@*.service"]).await?;
        let drains = units
            .into_iter()
            .filter(|(_, state)| phase_of(state) == Some(Phase::Draining));
        Ok(drains
            .filter_map(|(unit, _)| generation_of(apps, &unit))
            .collect())
    }

    /// Waits until none of them drains.
    ///
    /// # Errors
    /// When the manager does not answer, or goes away.
    pub async fn drained(&self, apps: &[AppName]) -> Result<(), ManagerError> {
        // Subscribed first, so that no end is missed.
        let ends = self.ends(apps.to_vec()).await?;
        until_none(ends, || self.draining(apps)).await
    }

    /// Sends whenever a unit of a generation has finished a job, or is gone.
    async fn ends(
        &self,
        apps: Vec<AppName>,
    ) -> Result<impl Stream<Item = ()> + use<>, ManagerError> {
        let jobs = self.systemd.receive_job_removed().await?;
        let jobs = jobs.filter_map(async |signal| Some(signal.args().ok()?.unit.clone()));
        let units = self.systemd.receive_unit_removed().await?;
        let units = units.filter_map(async |signal| Some(signal.args().ok()?.id.clone()));
        self.subscribe().await?;
        let all = stream::select(jobs.boxed(), units.boxed());
        Ok(all.filter_map(move |unit| {
            let is_ours = apps
                .iter()
                .any(|app| unit_names::parse_about_generation(app, &unit).is_some());
            async move { is_ours.then_some(()) }
        }))
    }
}

fn generation_of(apps: &[AppName], unit: &str) -> Option<(AppName, Generation)> {
    apps.iter().find_map(|app| {
        let number = unit_names::parse_generation(app, unit)?;
        Some((app.clone(), Generation(number)))
    })
}

/// Looks again after each signal until nothing is found. Signals are read while an answer is awaited: a connection queues
/// only a few, and reads no answer behind them.
async fn until_none<T, F: Future<Output = Result<Vec<T>, ManagerError>>>(
    ends: impl Stream<Item = ()>,
    look: impl Fn() -> F,
) -> Result<(), ManagerError> {
    let mut ends = pin!(ends);
    loop {
        let mut is_old = false;
        let mut looking = pin!(look());
        let found = loop {
            tokio::select! {
                found = &mut looking => break found?,
                end = ends.next() => {
                    end.ok_or(ManagerError::ConnectionLost)?;
                    is_old = true;
                }
            }
        };
        if found.is_empty() {
            return Ok(());
        }
        if !is_old {
            ends.next().await.ok_or(ManagerError::ConnectionLost)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn signals(of: mpsc::Receiver<()>) -> impl Stream<Item = ()> {
        stream::unfold(of, async |mut of| Some((of.recv().await?, of)))
    }

    /// `left` generations drain, one less after each look.
    async fn wait(ends: impl Stream<Item = ()>, left: &AtomicUsize) -> Result<(), ManagerError> {
        let look = || async {
            let now = left.load(Ordering::SeqCst);
            left.store(now.saturating_sub(1), Ordering::SeqCst);
            Ok(vec![(); now])
        };
        timeout(SOON, until_none(ends, look)).await.unwrap()
    }

    #[tokio::test]
    async fn it_looks_again_after_each_end() {
        let (send, receive) = mpsc::channel(1);
        let left = AtomicUsize::new(2);
        let sender = tokio::spawn(async move {
            for _ in 0..2 {
                send.send(()).await.unwrap();
            }
            send
        });
        wait(signals(receive), &left).await.unwrap();
        drop(sender.await.unwrap());
        // Nothing drains, so nothing is waited for.
        let (_send, receive) = mpsc::channel(1);
        wait(signals(receive), &AtomicUsize::new(0)).await.unwrap();
    }

    #[tokio::test]
    async fn a_manager_that_goes_away_is_an_error() {
        let (send, receive) = mpsc::channel(1);
        drop(send);
        let lost = wait(signals(receive), &AtomicUsize::new(1)).await;
        assert!(matches!(lost, Err(ManagerError::ConnectionLost)));
    }

    #[test]
    fn generations_are_told_from_other_units() {
        let apps: Vec<AppName> = vec!["a".parse().unwrap(), "a-b".parse().unwrap()];
        for (unit, of) in [
            ("a@3.service", Some((0, 3))),
            ("a-b@4.service", Some((1, 4))),
            ("a-settle@3.service", None),
            ("user@1000.service", None),
        ] {
            let expected = of.map(|(app, number)| (apps[app].clone(), Generation(number)));
            assert_eq!(generation_of(&apps, unit), expected, "{unit}");
        }
    }
}
