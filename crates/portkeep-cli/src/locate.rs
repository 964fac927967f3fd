//! Finds the app and the manager that a command names.

use std::path::{Path, PathBuf};

use anyhow::Context;
use portkeep_engine::backend::systemd::{Manager, Systemd};
use portkeep_engine::{Directories, Place, Store, units};
use portkeep_spec::{AppName, Manager as Which, Spec};

use crate::exit::usage;

/// `--system` or `--user`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct ManagerArgs {
    /// Speak to the system manager (the default for root).
    #[arg(long, conflicts_with = "user")]
    system: bool,
    /// Speak to your user manager (the default for everybody else).
    #[arg(long)]
    user: bool,
}

impl ManagerArgs {
    /// The named manager, or the default.
    pub(crate) fn which(self) -> Which {
        self.named().unwrap_or_else(crate::caller::own_manager)
    }

    /// The named manager, if the caller named one.
    pub(crate) fn named(self) -> Option<Which> {
        match (self.system, self.user) {
            (true, _) => Some(Which::System),
            (_, true) => Some(Which::User),
            _ => None,
        }
    }
}

pub(crate) use portkeep_engine::units::place;

/// The apps with units in the directories of a manager. If the manager does not answer, the usual directories count.
pub(crate) async fn installed_apps(which: Which) -> Vec<AppName> {
    let unit_path = match Manager::connect(which).await {
        Ok(manager) => manager.unit_path().await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    units::apps(which, &unit_path)
}

/// The store of an app, for reading. This creates no directory, and the store may not exist.
pub(crate) fn existing_store(name: &AppName, place: Place) -> anyhow::Result<Store> {
    Ok(Store::at(name, &Directories::of(place, name)?))
}

/// The store of an app. Creates its directories.
pub(crate) fn store(name: &AppName, place: Place) -> anyhow::Result<Store> {
    let directories = Directories::of(place, name)?;
    let remedy = match place {
        Place::System => "mend it as root",
        Place::User | Place::Local => "set HOME and XDG_RUNTIME_DIR to directories of your own",
    };
    Store::open(name, &directories)
        .with_context(|| format!("the directories of {name} cannot be used; {remedy}"))
}

/// The store of an app, for a caller that keeps releases in it. Without a directory for them, no port may be opened.
pub(crate) fn store_for_releases(name: &AppName, place: Place) -> anyhow::Result<Store> {
    let store = store(name, place)?;
    store.ensure_state().with_context(|| {
        format!(
            "the releases of {name} cannot be kept; set HOME to a directory that you may write to"
        )
    })?;
    Ok(store)
}

/// Connects to a manager and opens the app's store.
pub(crate) async fn systemd(which: Which, name: &AppName) -> anyhow::Result<Systemd> {
    let manager = Manager::connect(which).await?;
    Ok(Systemd::new(manager, store(name, place(which))?))
}

/// Reads the spec that `--spec` names, or `portkeep.json` in this directory.
pub(crate) fn load_spec(path: Option<PathBuf>) -> anyhow::Result<Spec> {
    let path = match path {
        Some(path) => path,
        None => {
            let here = PathBuf::from(portkeep_spec::contract::SPEC_FILE);
            if !here.exists() {
                return Err(usage(
                    "there is no portkeep.json in this directory; name one with --spec FILE \
                     (`portkeep schema` shows what belongs in it)",
                ));
            }
            here
        }
    };
    read_spec(&path)
}

/// Reads a spec; an error names its file.
pub(crate) fn read_spec(path: &Path) -> anyhow::Result<Spec> {
    Spec::load(path).with_context(|| format!("cannot use the spec {}", path.display()))
}
