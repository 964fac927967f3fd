//! Removes apps: stops each as a whole, then deletes its files, wherever the manager or portkeep looks for them.

mod installed_parts;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portkeep_spec::{AppName, Manager as Which, contract, unit_names};

use super::catalog::Catalog;
use super::files::{Change, Files, Journal};
use super::helper;
use super::install::{InstallError, lock};
use super::inventory::{Inventory, wanting};
use super::manager::UnitManager;
use super::metrics;
use super::place::{PlaceError, UnitDirectory};
use super::stop::stop;
use super::survey::place;
use super::unit_files::shared;
use crate::backend::BackendError;
use crate::backend::systemd::{Manager, ManagerError};
use crate::directories::{Directories, DirectoriesError};
use crate::metrics::{file_name, write};

use installed_parts::InstalledParts;
pub use installed_parts::LeftBehind;

/// Why apps were not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemovalError {
    /// These apps have no units in any directory for placed units. Nothing was changed.
    #[error("{}", not_installed(.names, .directory, .elsewhere))]
    NotInstalled {
        /// The apps.
        names: Vec<AppName>,
        /// The directory of `install`.
        directory: PathBuf,
        /// Their units that others have placed.
        elsewhere: Vec<PathBuf>,
    },
    /// The directories of units are unknown.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The directories of apps are unknown.
    #[error(transparent)]
    Directories(#[from] DirectoriesError),
    /// The manager does not answer.
    #[error("cannot ask the manager where units are")]
    Manager(#[from] ManagerError),
    /// Another install is under way.
    #[error(transparent)]
    Lock(#[from] InstallError),
    /// A call to the manager failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A file cannot be looked at or removed.
    #[error("cannot remove {path}")]
    File {
        /// The path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

fn not_installed(names: &[AppName], directory: &Path, elsewhere: &[PathBuf]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    match elsewhere {
        [] => format!(
            "{} has no units of {names}; nothing was changed",
            directory.display()
        ),
        paths => {
            let paths: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            format!(
                "{} has no units of {names}: those that there are were placed by somebody else (a package, a NixOS or \
                 home-manager configuration), who has to remove them: {}",
                directory.display(),
                paths.join(", ")
            )
        }
    }
}

/// An app that was removed.
#[derive(Debug)]
pub struct Removed {
    /// Its name.
    pub name: AppName,
    /// Number of its unit files.
    pub units: usize,
    /// Files that portkeep does not own.
    pub left: Vec<LeftBehind>,
}

/// The unit files of one app, and the links to them, in one directory.
///
/// # Errors
/// When the directory cannot be read.
pub fn on_disk(name: &AppName, directory: &Path) -> io::Result<Files> {
    Ok(Inventory::of(directory)?.of_app(name))
}

/// Removes files and directories that become empty, or nothing.
///
/// # Errors
/// What the system says, with the path.
pub fn remove_files<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), RemovalError> {
    let mut journal = Journal::default();
    for path in paths {
        let change = Change {
            path: path.clone(),
            before: None,
            after: None,
        };
        journal
            .apply(&change)
            .map_err(|source| RemovalError::File {
                path: path.clone(),
                source,
            })?;
    }
    journal.keep();
    Ok(())
}

/// Stops apps, closes their ports, and removes the files that `install` or `portkeep dev` placed. All are found before
/// anything changes.
///
/// # Errors
/// When one of them is not installed, or a step fails.
pub async fn remove(
    manager: &Manager,
    names: &[AppName],
    keep_state: bool,
) -> Result<Vec<Removed>, RemovalError> {
    let which = manager.which();
    let unit_path = manager.unit_path().await?;
    let all = Directories::all(place(which))?;
    let _lock = lock(&all.run)?;
    let inventories = inventories(which, &unit_path)?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match InstalledParts::of(name, &inventories) {
            Some(one) => found.push(one),
            None => missing.push(name.clone()),
        }
    }
    if !missing.is_empty() {
        return Err(not_found(which, &unit_path, missing)?);
    }
    stop(manager, names).await?;
    let files: Vec<_> = found
        .iter()
        .flat_map(|one| one.files.keys().chain(&one.spec_paths))
        .collect();
    let left: Vec<_> = found
        .iter()
        .map(|one| one.left(which, &unit_path))
        .collect();
    remove_files(files)?;
    let textfiles = metrics_directory(which, &unit_path);
    let none_is_left = remove_shared(which, &unit_path)?;
    if none_is_left {
        explain_no_more(which).await;
    }
    manager.read_files().await?;
    if none_is_left {
        let units = [contract::METRICS_TIMER, contract::METRICS_SERVICE];
        manager.stop_all(&units.map(str::to_owned)).await?;
        // Otherwise the collector would report the last state for ever.
        if let Some(directory) = textfiles
            && let Err(error) = write(&directory, &file_name(which), "")
        {
            tracing::warn!("the last metrics are left: {error}");
        }
    }
    close_the_rest(manager, &found).await?;
    let mut removed = Vec::new();
    for (one, mut left) in found.into_iter().zip(left) {
        let directories = Directories::of(place(which), &one.name)?;
        let _ = fs::remove_dir_all(&directories.run);
        if keep_state {
            left.push(LeftBehind::State(directories.state));
        } else {
            let _ = fs::remove_dir_all(&directories.state);
        }
        let units = one.files.keys().filter(|path| !wanting(path)).count();
        removed.push(Removed {
            name: one.name,
            units,
            left,
        });
    }
    let inventories = self::inventories(which, &unit_path)?;
    let inventories: Vec<_> = inventories.iter().map(|(_, inventory)| inventory).collect();
    helper::sweep(&all.state, &inventories);
    Ok(removed)
}

fn inventories(
    which: Which,
    unit_path: &[PathBuf],
) -> Result<Vec<(UnitDirectory, Inventory)>, RemovalError> {
    let directories = UnitDirectory::all(which, unit_path).into_iter();
    let read = directories.map(|directory| {
        let inventory = Inventory::of(directory.path()).map_err(|source| RemovalError::File {
            path: directory.path().to_owned(),
            source,
        })?;
        Ok((directory, inventory))
    });
    read.collect()
}

/// The error for apps without placed units.
fn not_found(
    which: Which,
    unit_path: &[PathBuf],
    names: Vec<AppName>,
) -> Result<RemovalError, RemovalError> {
    let handles = names.iter().map(unit_names::handle);
    let elsewhere = handles.flat_map(|handle| {
        let paths = unit_path
            .iter()
            .map(move |directory| directory.join(&handle));
        paths
            .filter(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(contract::MARK)))
    });
    let elsewhere = elsewhere.collect();
    Ok(RemovalError::NotInstalled {
        names,
        directory: UnitDirectory::lasting(which, unit_path)?.path().to_owned(),
        elsewhere,
    })
}

/// The directory of the apps' metrics, if there is one.
fn metrics_directory(which: Which, unit_path: &[PathBuf]) -> Option<PathBuf> {
    let directory = UnitDirectory::lasting(which, unit_path).ok()?;
    let inventory = Inventory::of(directory.path()).ok()?;
    metrics::textfiles(&metrics::placed(&inventory))
}

/// Removes the message catalog that an install has placed. Old entries stay in the journal, without explanations.
async fn explain_no_more(which: Which) {
    let catalog = Catalog::of_machine();
    if let Some(change) = catalog.removal(which)
        && let Err(error) = catalog.apply(&change).await
    {
        tracing::warn!("{error}");
    }
}

/// Removes shared files if no app is left and nobody has changed them. Returns whether no app is left.
fn remove_shared(which: Which, unit_path: &[PathBuf]) -> Result<bool, RemovalError> {
    let directory = UnitDirectory::lasting(which, unit_path)?;
    let fail = |source| RemovalError::File {
        path: directory.path().to_owned(),
        source,
    };
    let inventory = Inventory::of(directory.path()).map_err(fail)?;
    let shared = shared(which, directory.path());
    let shared = shared.map_err(|error| fail(io::Error::other(error)))?;
    let is_ours = |path: &&PathBuf| inventory.get(path) == shared.get(*path);
    if !inventory.apps().is_empty() {
        return Ok(false);
    }
    let metrics = metrics::placed(&inventory);
    remove_files(shared.keys().filter(is_ours).chain(metrics.keys()))?;
    Ok(true)
}

/// Closes a socket whose file was missing before: it did not stop with its target.
async fn close_the_rest(manager: &Manager, found: &[InstalledParts]) -> Result<(), RemovalError> {
    let sockets = |one: &InstalledParts| {
        let units = one.units().into_iter();
        let sockets = units.filter(|unit| unit.ends_with(".socket"));
        sockets
            .chain([
                unit_names::socket(&one.name),
                unit_names::move_socket(&one.name),
            ])
            .collect::<Vec<_>>()
    };
    let sockets: Vec<_> = found.iter().flat_map(sockets).collect();
    let loaded = manager.loaded(&sockets).await?;
    let open = loaded.into_iter().filter(|(_, state)| state.is_active());
    let open: Vec<_> = open.map(|(unit, _)| unit).collect();
    manager.stop_all(&open).await?;
    Ok(())
}
