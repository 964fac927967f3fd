//! Services of the program around the loop: directories, and commands to suggest.

use std::fmt::Debug;
use std::path::Path;

use portkeep_engine::{Outcome, Place, Store};
use portkeep_spec::{Address, AppName, Spec};

use crate::control::Answer;

/// The program around the loop.
pub trait Host: Debug + Send + Sync {
    /// Reads a spec; an error names its file.
    ///
    /// # Errors
    /// When it cannot be read, or is no spec.
    fn read_spec(&self, path: &Path) -> anyhow::Result<Spec>;

    /// The store of an app, with a place for its releases.
    ///
    /// # Errors
    /// When its directories cannot be used.
    fn store(&self, name: &AppName, place: Place) -> anyhow::Result<Store>;

    /// The owner of a port, and what to do about it.
    fn port_owner(&self, address: &Address) -> Option<String>;

    /// The answer to another command that requested a handover.
    fn answer(&self, name: &AppName, outcome: &Outcome) -> Answer;
}
