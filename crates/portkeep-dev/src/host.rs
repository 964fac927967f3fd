//! What the program around this loop does for it: its directories, its unit files, and its words for other commands.

use std::fmt::Debug;
use std::path::Path;

use futures_util::future::BoxFuture;
use portkeep_engine::backend::systemd::{Manager, Systemd};
use portkeep_engine::{Generation, HoldingPage, Outcome, Place, Request, Store};
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

    /// What answers where no release of the app can; nothing where connections are to wait.
    fn holding_page(&self, spec: &Spec, store: &Store) -> Option<HoldingPage>;

    /// Who listens at an address, and what to do about it.
    fn port_owner(&self, address: &Address) -> Option<String>;

    /// A handover to the release of a generation; with none, to the newest other good one.
    ///
    /// # Errors
    /// When there is no such release.
    fn rollback(&self, store: &Store, generation: Option<Generation>) -> anyhow::Result<Request>;

    /// What another command is answered that asked for a handover.
    fn answer(&self, name: &AppName, outcome: &Outcome) -> Answer;

    /// A unit elsewhere that has a name which the units of this app need.
    fn conflict<'a>(
        &'a self,
        manager: &'a Manager,
        spec: &'a Spec,
    ) -> BoxFuture<'a, anyhow::Result<Option<String>>>;

    /// Places the units of an app until the user's last session ends, and opens its ports.
    fn place<'a>(
        &'a self,
        systemd: &'a Systemd,
        spec: &'a Spec,
    ) -> BoxFuture<'a, anyhow::Result<()>>;

    /// Stops an app and removes its units.
    fn remove<'a>(
        &'a self,
        systemd: &'a Systemd,
        name: &'a AppName,
    ) -> BoxFuture<'a, anyhow::Result<()>>;

    /// Starts the handle of an app, or reloads it where it runs.
    fn reload_handle<'a>(
        &'a self,
        systemd: &'a Systemd,
        name: &'a AppName,
    ) -> BoxFuture<'a, anyhow::Result<Outcome>>;
}
