//! Errors of an install.

use std::io;
use std::path::PathBuf;

use portkeep_spec::{Address, AppName};

use crate::backend::BackendError;
use crate::backend::systemd::{JobResult, ManagerError};
use crate::directories::DirectoriesError;
use crate::store::LockError;
use crate::units::helper::HelperError;
use crate::units::place::PlaceError;
use crate::units::refusal::Refusals;

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// It is unknown where units belong.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The manager does not answer.
    #[error("cannot look at the units of the manager")]
    Manager(#[from] ManagerError),
    /// The present units cannot be read.
    #[error("cannot look at what is installed")]
    Survey(#[source] io::Error),
    /// The plan was refused.
    #[error(transparent)]
    Refused(#[from] Refusals),
    /// The helper could not be placed.
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// It is unknown where the files of apps belong.
    #[error(transparent)]
    Directories(#[from] DirectoriesError),
    /// Another install is under way.
    #[error("another install or uninstall is under way")]
    Lock(#[from] LockError),
    /// A step failed. The steps before it were taken back.
    #[error("{}", failed(.0, .1))]
    Failed(Failure, Vec<String>),
}

fn failed(failure: &Failure, left: &[String]) -> String {
    match left {
        [] => format!("{failure}; everything was taken back"),
        left => format!(
            "{failure}; and not everything could be taken back: {}",
            left.join("; ")
        ),
    }
}

/// The step that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A file or a directory could not be written.
    #[error("cannot write {path}: {error}")]
    File {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A call to the manager failed.
    #[error("{}", with_causes(.0))]
    Manager(#[from] BackendError),
    /// Apps did not hand over.
    #[error("{}", .0.iter().map(|(name, reason)| format!("{name} does not serve it: {reason}")).collect::<Vec<_>>().join("\n"))]
    NotHandedOver(Vec<(AppName, String)>),
    /// A socket did not open.
    #[error("{unit} did not start (`{result}`): the port of {name} is not open")]
    NotOpen {
        /// The app.
        name: AppName,
        /// Its address.
        addresses: Vec<Address>,
        /// The unit.
        unit: String,
        /// The result of its job.
        result: JobResult,
    },
    /// The caller was asked to stop.
    #[error("interrupted")]
    Interrupted,
}

pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
