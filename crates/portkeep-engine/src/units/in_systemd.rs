//! systemd as the manager of installed units.

use portkeep_spec::{AppName, Spec, unit_names};

use super::manager::{NotHandedOver, UnitManager};
use super::plan::Handover;
use super::survey::place;
use crate::backend::BackendError;
use crate::backend::systemd::{Ended, JobResult, Manager, ManagerError, Systemd, UnitState};
use crate::directories::Directories;
use crate::execute::{Outcome, Request, Wanted, hand_over};
use crate::handover::Purpose;
use crate::helper::{HelperError, outcome_of_job};
use crate::release::Digest;
use crate::store::Store;

fn store_of(manager: &Manager, name: &AppName) -> Result<Store, BackendError> {
    let directories = Directories::of(place(manager.which()), name)
        .map_err(|error| BackendError::new(format!("cannot find the files of {name}"), error))?;
    Ok(Store::at(name, &directories))
}

fn failed(doing: &'static str) -> impl Fn(ManagerError) -> BackendError {
    move |error| BackendError::new(doing, error)
}

/// Starts the first generation of an app, then its handle, which finds the generation.
async fn take_over(
    manager: &Manager,
    spec: &Spec,
) -> Result<Result<Outcome, NotHandedOver>, BackendError> {
    let store = store_of(manager, &spec.name)?;
    let systemd = Systemd::new(manager.clone(), store.clone());
    let not = |reason: String| Ok(Err(NotHandedOver { reason }));
    let request = Request::now(Purpose::Activate);
    let outcome = match hand_over(&systemd, &store, spec, request).await {
        Ok(outcome) => outcome,
        Err(error) => return not(error.to_string()),
    };
    let handle = unit_names::handle(&spec.name);
    let started = manager.start(&handle).await;
    match started.map_err(failed("cannot start the handle of the app"))? {
        JobResult::Done => Ok(Ok(outcome)),
        result => not(format!(
            "the job of {handle} ended with `{result}`; see `systemctl status {handle}`"
        )),
    }
}

impl UnitManager for Manager {
    fn which(&self) -> portkeep_spec::Manager {
        Self::which(self)
    }

    async fn read_files(&self) -> Result<(), BackendError> {
        let read = self.daemon_reload().await;
        read.map_err(failed("cannot make the manager read its unit files again"))
    }

    async fn loaded(&self, patterns: &[String]) -> Result<Vec<(String, UnitState)>, BackendError> {
        let patterns: Vec<_> = patterns.iter().map(String::as_str).collect();
        if patterns.is_empty() {
            return Ok(Vec::new());
        }
        let listed = self.list(&patterns).await;
        listed.map_err(failed("cannot list units"))
    }

    async fn start_all(&self, units: &[String]) -> Result<Vec<Ended>, BackendError> {
        let ended = Self::start_all(self, units).await;
        ended.map_err(failed("cannot start units"))
    }

    async fn stop_all(&self, units: &[String]) -> Result<Vec<Ended>, BackendError> {
        let ended = Self::stop_all(self, units).await;
        ended.map_err(failed("cannot stop units"))
    }

    async fn forget_failures(&self, units: &[String]) -> Result<(), BackendError> {
        for unit in units {
            let forgotten = self.reset_failed(unit).await;
            forgotten.map_err(failed("cannot reset units that failed"))?;
        }
        Ok(())
    }

    fn serving(&self, name: &AppName) -> Option<Digest> {
        let store = store_of(self, name).ok()?;
        let release = store.release_of(store.current_app()?)?;
        Some(release.digest().clone())
    }

    async fn hand_over(
        &self,
        spec: &Spec,
        how: Handover,
    ) -> Result<Result<Outcome, NotHandedOver>, BackendError> {
        let name = &spec.name;
        let handle = unit_names::handle(name);
        let asked = match how {
            Handover::Reload => self.reload_or_restart(&handle).await,
            Handover::Restart => self.restart(&handle).await,
            Handover::TakeOver => return take_over(self, spec).await,
        };
        let (job, result) = asked.map_err(failed("cannot start the handover of the app"))?;
        let store = store_of(self, name)?;
        let not = |reason: String| Ok(Err(NotHandedOver { reason }));
        let outcome = match outcome_of_job(&store, job, result) {
            Ok(outcome) => outcome,
            Err(HelperError::Job {
                reason: Some(reason),
                ..
            }) => return not(reason),
            Err(error) => return not(error.to_string()),
        };
        match &outcome {
            Outcome::Holding(record) => not(record.reason.clone().unwrap_or_default()),
            Outcome::HandedOver(record) if outcome.fell_back() => {
                not(record.reason.clone().unwrap_or_default())
            }
            _ => Ok(Ok(outcome)),
        }
    }

    async fn hand_back(&self, spec: &Spec, release: Digest) -> Result<(), BackendError> {
        let store = store_of(self, &spec.name)?;
        let systemd = Systemd::new(self.clone(), store.clone());
        let request = Request {
            wanted: Wanted::Kept(release),
            ..Request::now(Purpose::Rollback)
        };
        let handed = hand_over(&systemd, &store, spec, request).await;
        let doing = || format!("cannot bring back what {} served before", spec.name);
        handed
            .map(drop)
            .map_err(|error| BackendError::new(doing(), error))
    }
}
