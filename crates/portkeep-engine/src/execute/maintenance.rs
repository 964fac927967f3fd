//! Maintenance as part of a handover, under its lock.

use portkeep_spec::Spec;

use super::{Request, Run, Wanted, begin, doing};
use crate::backend::Backend;
use crate::error::EngineError;
use crate::failpoint;
use crate::handover::Purpose;
use crate::maintenance::Maintenance;
use crate::store::Store;

/// Why an app cannot be in maintenance.
const NO_PAGE: &str = "no socket of the app speaks HTTP, so that no page can answer there";
const OVER: &str = "write down that maintenance is over";

/// The same if nothing serves, and nothing is to: the next connection will see it.
pub(crate) async fn note_maintenance<B: Backend>(
    backend: &B,
    store: &Store,
    spec: &Spec,
    request: Request,
) -> Result<(), EngineError> {
    let mut run = begin(backend, store, spec, request).await?;
    match run.request.wanted {
        Wanted::Maintenance(_) => run.change_maintenance().await,
        _ => store.remove_maintenance().map_err(doing(OVER)),
    }
}

impl<B: Backend> Run<'_, B> {
    /// Records the request before anything is done: killed in between, it leaves an app that can still be brought to serve,
    /// and not a page for ever.
    pub(super) async fn change_maintenance(&mut self) -> Result<(), EngineError> {
        match (self.request.purpose, &self.request.wanted) {
            (Purpose::Maintenance, Wanted::Maintenance(message)) => {
                if self.request.holding.is_none() {
                    return Err(EngineError::Refused(NO_PAGE.to_owned()));
                }
                let before = self.store.maintenance();
                self.began_maintenance = before.is_none();
                let app = self.store.current_app();
                let serves = app.and_then(|app| self.store.release_of(app));
                let serves = serves.map(|release| release.digest);
                let begun = Maintenance::begin(message.clone(), serves, before);
                self.store
                    .write_maintenance(&begun)
                    .map_err(doing("write down that there is maintenance"))?;
                failpoint::reach(self.store, "maintenance-begun");
            }
            (Purpose::Maintenance, _) => {
                // If the next release does not start, the page stays, and this unit replaces it later.
                self.keep_trying().await;
                self.store.remove_maintenance().map_err(doing(OVER))?;
                failpoint::reach(self.store, "maintenance-ended");
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes back maintenance whose page could not be started.
    pub(super) fn take_maintenance_back(&self) {
        if self.began_maintenance
            && let Err(error) = self.store.remove_maintenance()
        {
            tracing::warn!("maintenance could not be taken back: {error}");
        }
    }
}
