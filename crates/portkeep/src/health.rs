//! Health of an app: whether to send it requests, for clients of a health socket.

mod answer;
mod checks;

use std::sync::{Arc, LazyLock};

pub use answer::{HealthReport, Readiness};

use self::checks::Checks;
use crate::BoxError;
use crate::drain_files::DrainFiles;
use crate::task::Boxed;

static PROCESS: LazyLock<Health> = LazyLock::new(Health::new);

/// Source of an app's health.
#[doc(hidden)]
pub trait Source: Send + Sync + 'static {
    /// The health as of now.
    fn ask(self: Arc<Self>) -> Boxed<HealthReport>;
}

/// Whether the operator of this process has taken it out.
#[doc(hidden)]
#[must_use]
pub fn is_taken_out() -> bool {
    DrainFiles::from_env().look().is_some()
}

/// Readiness that an app reports to load balancers on its health socket (`health` in the spec).
///
/// The server answers there by itself: `/livez`, `/readyz`, and HAProxy's agent-check. It is ready if all of the checks
/// here pass, and nobody has it drained. Checks may be added and removed at any time. They do not affect clients that
/// connect to the port.
///
/// ```no_run
/// # async fn example(app: axum::Router) -> Result<(), portkeep::Error> {
/// let health = portkeep::Health::process();
/// // Asked when somebody asks, at most once a second; it has one second.
/// health.check("database", || async { ping().await });
/// // Said by the app.
/// health.fail("cache", "it is being filled");
/// tokio::spawn(async move {
///     fill().await;
///     health.pass("cache");
/// });
/// portkeep::serve(app).await
/// # }
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// # async fn fill() {}
/// ```
///
/// All clones are the same health. The process has one, which [`serve`](crate::serve) uses;
/// [`Server::health`](crate::Server::health) gives a server its own.
#[derive(Debug, Clone)]
pub struct Health(Arc<Checks>);

impl Health {
    /// A health without checks, which is ready.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// The health of the process.
    #[must_use]
    pub fn process() -> Self {
        PROCESS.clone()
    }

    /// Adds `check`, which replaces an earlier one with this name.
    ///
    /// It runs when a load balancer asks for the readiness, never twice at the same time, and its result is valid for one
    /// second. A check that takes longer than a second, or panics, has failed.
    pub fn check<F, E>(
        &self,
        name: impl Into<String>,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let check = Arc::new(check);
        self.0.ask(name.into(), move || {
            let check = Arc::clone(&check);
            Box::pin(async move { check().await.map_err(Into::into) })
        });
    }

    /// Reports that the check with this name passes, until the next report.
    pub fn pass(&self, name: impl Into<String>) {
        self.0.say(name.into(), Ok(()));
    }

    /// Reports that the check with this name fails, until the next report. Load balancers get the reason.
    pub fn fail(&self, name: impl Into<String>, reason: impl Into<String>) {
        self.0.say(name.into(), Err(reason.into()));
    }

    /// Removes the check with this name.
    pub fn remove(&self, name: &str) {
        self.0.remove(name);
    }

    pub(crate) fn checks(&self) -> &Checks {
        &self.0
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}
