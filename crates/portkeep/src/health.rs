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

/// Who knows how it is.
#[doc(hidden)]
pub trait Source: Send + Sync + 'static {
    /// How it is now.
    fn ask(self: Arc<Self>) -> Boxed<HealthReport>;
}

/// Whether whoever runs this process takes it out.
#[doc(hidden)]
#[must_use]
pub fn is_taken_out() -> bool {
    DrainFiles::from_env().look().is_some()
}

/// What an app says of its own readiness, for load balancers that ask on its health socket (`health` in the spec).
///
/// The server answers there by itself: `/livez`, `/readyz`, and HAProxy's agent-check. It is ready when all of the checks here
/// pass, and nobody wants it drained. They may change at any time; what they say does not concern who connects to the port.
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
/// All clones are one. There is one for the process, which [`serve`](crate::serve) goes by;
/// [`Server::health`](crate::Server::health) gives a server its own.
#[derive(Debug, Clone)]
pub struct Health(Arc<Checks>);

impl Health {
    /// One without checks: it is ready.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// The one of the process.
    #[must_use]
    pub fn process() -> Self {
        PROCESS.clone()
    }

    /// Has `check` asked from now on, in place of what was said under this name before.
    ///
    /// It is asked when somebody asks for the readiness, by one at a time; what it says is good for one second. One that takes
    /// longer than a second, or panics, has failed.
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

    /// What is called so passes, until something else is said.
    pub fn pass(&self, name: impl Into<String>) {
        self.0.say(name.into(), Ok(()));
    }

    /// What is called so fails, until something else is said. Whoever asks is told the reason.
    pub fn fail(&self, name: impl Into<String>, reason: impl Into<String>) {
        self.0.say(name.into(), Err(reason.into()));
    }

    /// Nothing is said of it any more.
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
