//! An app under a backend, as the promises see it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use portkeep_engine::handover::{Purpose, Unchanged};
use portkeep_engine::{
    Backend, Cancel, EngineError, Generation, Phase, Request, Running, Store, hand_over,
};
use portkeep_spec::Spec;
use portkeep_tests::{Behaviour, Outcome, Publish, ask, probe, request};
use rustix::process::Pid;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

/// An app under a backend.
pub(crate) struct World<B> {
    pub(crate) backend: B,
    pub(crate) store: Store,
    pub(crate) spec: Spec,
    pub(crate) directory: PathBuf,
    pub(crate) address: SocketAddr,
}

impl<B: Backend> World<B> {
    pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(3);
    pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

    /// What the spec says besides name, executable and address.
    pub(crate) fn settings() -> [(&'static str, Value); 4] {
        [
            ("startTimeout", json!("3s")),
            ("drainTimeout", json!("5s")),
            ("sandbox", json!("off")),
            ("allow", json!({ "user": "root" })),
        ]
    }

    pub(crate) fn publish(&self, behaviour: &Behaviour) {
        Publish::Rename
            .publish(&probe(), &self.directory, behaviour)
            .expect("a build can be published");
    }

    pub(crate) async fn hand_over(&self) -> Result<portkeep_engine::Outcome, EngineError> {
        let request = Request::now(Purpose::Reload);
        hand_over(&self.backend, &self.store, &self.spec, request).await
    }

    pub(crate) async fn hand_over_unless(
        &self,
        cancel: &Cancel,
    ) -> Result<portkeep_engine::Outcome, EngineError> {
        let request = Request::now(Purpose::Reload).unless(cancel);
        hand_over(&self.backend, &self.store, &self.spec, request).await
    }

    pub(crate) async fn hand_over_by_force(&self) -> Result<portkeep_engine::Outcome, EngineError> {
        let mut request = Request::now(Purpose::Reload);
        request.unchanged = Unchanged::IsStarted;
        hand_over(&self.backend, &self.store, &self.spec, request).await
    }

    pub(crate) async fn running(&self) -> Vec<Running> {
        self.backend.running().await.expect("it can be asked")
    }

    /// Asks and comes back when the answer is there.
    pub(crate) async fn ask(&self, path: &'static str) -> Outcome {
        self.send(path).await.expect("the request ends")
    }

    /// Asks, and comes back when the process has the request.
    pub(crate) async fn ask_in_background(&self, path: &'static str) -> JoinHandle<Outcome> {
        let address = self.address;
        let asked = spawn_blocking(move || ask(address, path, Duration::from_secs(30)));
        let asked = asked.await.expect("it is sent");
        // Those that come later are accepted later.
        let _ = self.ask("/").await;
        spawn_blocking(move || asked.outcome())
    }

    fn send(&self, path: &'static str) -> JoinHandle<Outcome> {
        let address = self.address;
        spawn_blocking(move || request(address, path, Duration::from_secs(30)))
    }

    /// The process that answers, if one does.
    pub(crate) async fn process(&self) -> Option<Pid> {
        let Outcome::Answer(answer) = self.ask("/").await else {
            return None;
        };
        let number = answer
            .body
            .lines()
            .find_map(|line| line.strip_prefix("pid "));
        number
            .and_then(|number| number.parse().ok())
            .and_then(Pid::from_raw)
    }

    /// Waits until this generation serves, and it alone.
    pub(crate) async fn until_only(&self, generation: Generation) {
        let only = [Running {
            generation,
            phase: Phase::Serving,
        }];
        self.until("only the new generation runs", async || {
            (self.running().await == only).then_some(())
        })
        .await;
    }

    /// Waits until nothing runs.
    pub(crate) async fn until_none(&self) {
        self.until("nothing runs", async || {
            self.running().await.is_empty().then_some(())
        })
        .await;
    }

    /// Waits until a condition holds.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        mut condition: impl AsyncFnMut() -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            assert!(
                Instant::now() < deadline,
                "never: {what}; {:?}",
                self.running().await
            );
            sleep(Duration::from_millis(10)).await;
        }
    }
}
