//! Manager that units are installed in, as a trait.

use std::future::Future;

use portkeep_spec::{AppName, Manager as Which, Spec};

use super::plan::Handover;
use crate::backend::BackendError;
use crate::backend::systemd::{Ended, UnitState};
use crate::execute::Outcome;
use crate::release::Digest;

/// A handover after which the installed release does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotHandedOver {
    /// The reason.
    pub reason: String,
}

/// A manager of installed units.
pub trait UnitManager: Sync {
    /// Its kind.
    fn which(&self) -> Which;

    /// Makes it read all unit files again.
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

    /// Stops units, and waits for all jobs. A unit that is not loaded counts as stopped.
    fn stop_all(
        &self,
        units: &[String],
    ) -> impl Future<Output = Result<Vec<Ended>, BackendError>> + Send;

    /// Resets failed units.
    fn forget_failures(
        &self,
        units: &[String],
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// The release that an app serves now.
    fn serving(&self, name: &AppName) -> Option<Digest>;

    /// Hands an app over to its installed release.
    fn hand_over(
        &self,
        spec: &Spec,
        how: Handover,
    ) -> impl Future<Output = Result<Result<Outcome, NotHandedOver>, BackendError>> + Send;

    /// Hands an app over to one of its kept releases.
    fn hand_back(
        &self,
        spec: &Spec,
        release: Digest,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;
}
