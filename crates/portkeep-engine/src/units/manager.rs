//! Manager that units are installed in, as a trait.

use std::future::Future;

use portkeep_spec::{AppName, Manager as Which, Spec};

use super::plan::Handover;
use crate::backend::BackendError;
use crate::backend::systemd::{Ended, UnitState};
use crate::execute::Outcome;
use crate::release::Digest;

/// A handover that did not bring what is installed to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotHandedOver {
    /// Why.
    pub reason: String,
}

/// A manager that units are placed in.
pub trait UnitManager: Sync {
    /// Which one it is.
    fn which(&self) -> Which;

    /// Has it read all unit files again.
    fn read_files(&self) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// The loaded units whose names match one of `patterns`.
    fn loaded(
        &self,
        patterns: &[String],
    ) -> impl Future<Output = Result<Vec<(String, UnitState)>, BackendError>> + Send;

    /// Starts units, and waits for all jobs.
    fn start_all(
        &self,
        units: &[String],
    ) -> impl Future<Output = Result<Vec<Ended>, BackendError>> + Send;

    /// Stops units, and waits for all jobs. One that is not loaded is stopped.
    fn stop_all(
        &self,
        units: &[String],
    ) -> impl Future<Output = Result<Vec<Ended>, BackendError>> + Send;

    /// Forgets that units failed.
    fn forget_failures(
        &self,
        units: &[String],
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// The release that an app serves now.
    fn serving(&self, name: &AppName) -> Option<Digest>;

    /// Has an app hand over to what is installed now.
    fn hand_over(
        &self,
        spec: &Spec,
        how: Handover,
    ) -> impl Future<Output = Result<Result<Outcome, NotHandedOver>, BackendError>> + Send;

    /// Has an app hand over to a release that it keeps.
    fn hand_back(
        &self,
        spec: &Spec,
        release: Digest,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;
}
