//! Retry beside a holding page: hands over as soon as a release can serve, then ends.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Helper, HelperError, Progress, read_spec};
use crate::backend::HandleUnit;
use crate::error::EngineError;
use crate::execute::{self, Request};
use crate::handover::Purpose;
use crate::retry::pause;
use crate::store::Store;

/// How often it looks. A new build, or a file that was missing, serves within this time and its own start.
const LOOK: Duration = Duration::from_millis(250);

/// Hands over until a release serves. Connects again if the manager does not answer: after a restart of the bus, the old
/// connection would never work again.
///
/// # Errors
/// When the manager cannot be reached.
pub async fn retry<M, C, F, E>(
    store: &Store,
    spec_path: &Path,
    connect: C,
    tell: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<(), E>
where
    M: HandleUnit,
    C: Fn() -> F,
    F: Future<Output = Result<M, E>>,
{
    let mut manager = connect().await?;
    let mut tried = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        if !is_needed(store) {
            return Ok(());
        }
        // A file that is unreadable now may be readable in a second, because somebody is writing it.
        let Ok(spec) = read_spec(spec_path) else {
            continue;
        };
        let purpose = if execute::has_changed(store, &spec) {
            Purpose::Deploy
        } else if tried.elapsed() >= pause(&store.history().unwrap_or_default()) {
            Purpose::Retry
        } else {
            continue;
        };
        tried = Instant::now();
        let outcome = Helper::new(&manager, store, tell)
            .hand_over(&spec, Request::now(purpose))
            .await;
        let Err(error) = outcome else {
            continue;
        };
        tell(Progress::Failed(&error));
        if let HelperError::Engine(EngineError::Backend(_)) = error {
            manager = connect().await?;
        }
    }
}

/// Whether a holding page runs, or is about to: its starter starts this first, and holds the lock meanwhile. A person ends
/// the maintenance page.
fn is_needed(store: &Store) -> bool {
    let at_work = || matches!(store.try_lock(), Ok(None));
    let is_held = || {
        store
            .current()
            .is_some_and(|one| store.is_holding_page(one))
    };
    at_work() || is_held() && store.maintenance().is_none()
}
