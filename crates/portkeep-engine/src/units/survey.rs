//! Collects the present state for a plan. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portkeep_spec::{Address, AppName, Manager as Which, Spec, contract, unit_names};

use super::files::Entry;
use super::inventory::Inventory;
use super::place::UnitDirectory;
use super::plan::{Asked, Facts, InstalledSpec, Options};
use super::refusal::{Refusal, Why};
use crate::app_directories;
use crate::directories::{Directories, Place, check_trusted};

/// The present state.
#[derive(Debug)]
pub struct Survey {
    which: Which,
    directory: UnitDirectory,
    inventory: Inventory,
    elsewhere: BTreeMap<String, PathBuf>,
    specs: BTreeMap<AppName, InstalledSpec>,
    active: BTreeSet<String>,
}

impl Survey {
    /// Looks at `directory`, and at all others of `unit_path`. `active` are the units that are active.
    ///
    /// # Errors
    /// When the directory cannot be read; the message names it.
    pub fn of(
        which: Which,
        directory: UnitDirectory,
        unit_path: &[PathBuf],
        active: BTreeSet<String>,
    ) -> io::Result<Self> {
        let inventory = Inventory::of(directory.path()).map_err(|error| {
            let path = directory.path().display();
            io::Error::new(error.kind(), format!("cannot read {path}: {error}"))
        })?;
        let specs = inventory.apps().into_iter().filter_map(|name| {
            let path = directory.spec_path(&name);
            let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o7777;
            let text = fs::read_to_string(&path).ok()?;
            let spec = Spec::load(&path).ok();
            let entry = Entry::File { text, mode };
            Some((name, InstalledSpec { entry, spec }))
        });
        let specs = specs.collect();
        Ok(Self {
            which,
            elsewhere: elsewhere(&directory, unit_path),
            directory,
            inventory,
            specs,
            active,
        })
    }

    /// The facts for a plan whose units call `helper`.
    #[must_use]
    pub fn facts<'a>(&'a self, helper: &'a Path) -> Facts<'a> {
        Facts {
            which: self.which,
            directory: &self.directory,
            inventory: &self.inventory,
            elsewhere: &self.elsewhere,
            specs: &self.specs,
            active: &self.active,
            helper,
        }
    }

    /// The spec of an installed app.
    pub(super) fn spec(&self, name: &AppName) -> Option<&Spec> {
        self.specs.get(name)?.spec.as_ref()
    }

    /// Whether a port of the app was open.
    pub(super) fn was_open(&self, name: &AppName) -> bool {
        let spec = self.spec(name);
        spec.is_some_and(|spec| !self.open(spec).is_empty())
    }

    /// Whether a unit had a file where units are placed.
    pub(super) fn was_there(&self, unit: &str) -> bool {
        self.inventory.owner(unit).is_some()
    }

    /// Reasons of the machine against an install: directories of other owners or untrusted ones, and ports of other owners.
    /// `owner` describes the owner of an address, and the remedy.
    #[must_use]
    pub fn refusals(
        &self,
        asked: &[Asked],
        options: &Options,
        owner: &dyn Fn(&Address) -> Option<String>,
    ) -> Vec<Refusal> {
        let of_one = |asked: &Asked| -> Vec<Refusal> {
            let directories = self.directories(&asked.spec);
            let held = match options.open {
                true => self.held(&asked.spec, options, owner),
                false => Vec::new(),
            };
            let refusal = |why| Refusal {
                source: asked.source.clone(),
                why,
            };
            directories.into_iter().chain(held).map(refusal).collect()
        };
        asked.iter().flat_map(of_one).collect()
    }

    fn directories(&self, spec: &Spec) -> Option<Why> {
        let name = &spec.name;
        let fail = |error| Why::Directories {
            name: name.clone(),
            error,
        };
        if self.which == Which::System {
            match app_directories::foreign(spec, self.spec(name)) {
                Ok(None) => {}
                Ok(Some(foreign)) => return Some(Why::Foreign(foreign)),
                Err(error) => return Some(fail(error)),
            }
        }
        let directories = match Directories::of(place(self.which), name) {
            Ok(directories) => directories,
            Err(error) => return Some(fail(io::Error::other(error))),
        };
        let untrusted = [directories.run, directories.state]
            .iter()
            .find_map(|directory| {
                let there = directory.ancestors().find(|level| level.exists())?;
                check_trusted(there).err()
            });
        untrusted.map(|error| fail(error.into()))
    }

    fn held(
        &self,
        spec: &Spec,
        options: &Options,
        owner: &dyn Fn(&Address) -> Option<String>,
    ) -> Vec<Why> {
        let own = [Some(&spec.name), options.replaces.as_ref()];
        let own = own.into_iter().flatten().filter_map(|name| self.spec(name));
        let open: Vec<Address> = own.flat_map(|spec| self.open(spec)).collect();
        let asked = spec.ports().into_iter().map(|listen| listen.address);
        let asked = asked.filter(|address| !open.contains(address));
        let held = asked.filter_map(|address| {
            let owner = owner(&address)?;
            Some(Why::Held { address, owner })
        });
        held.collect()
    }

    /// The open addresses of an app.
    fn open(&self, spec: &Spec) -> Vec<Address> {
        let listens = spec.ports().into_iter().zip(unit_names::ports(spec));
        let open = listens.filter(|(_, unit)| self.active.contains(unit));
        open.map(|(listen, _)| listen.address).collect()
    }
}

/// The place of the directories of a manager's apps.
#[must_use]
pub fn place(which: Which) -> Place {
    match which {
        Which::System => Place::System,
        Which::User => Place::User,
    }
}

/// The apps with units in the directories of `unit_path`, or in the usual ones of the manager.
#[must_use]
pub fn apps(which: Which, unit_path: &[PathBuf]) -> Vec<AppName> {
    let usual = match which {
        Which::System => ["/etc/systemd/system", "/run/systemd/system"].as_slice(),
        Which::User => &["/etc/systemd/user"],
    };
    let ours = UnitDirectory::all(which, unit_path);
    let ours = ours.iter().map(|one| one.path().to_owned());
    let usual = usual.iter().map(PathBuf::from);
    let mut directories: Vec<PathBuf> =
        unit_path.iter().cloned().chain(usual).chain(ours).collect();
    directories.sort();
    directories.dedup();
    let targets = directories.iter().flat_map(|directory| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let name: AppName = name.strip_suffix(".target")?.parse().ok()?;
            let text = fs::read_to_string(entry.path()).ok()?;
            let mark = format!("{}={name}", contract::MARK);
            text.lines().any(|line| line == mark).then_some(name)
        })
    });
    let apps: BTreeSet<AppName> = targets.collect();
    apps.into_iter().collect()
}

/// The units of all directories except one.
fn elsewhere(directory: &UnitDirectory, unit_path: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut units = BTreeMap::new();
    for other in unit_path.iter().filter(|other| *other != directory.path()) {
        for entry in fs::read_dir(other).into_iter().flatten().flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if let (false, Ok(unit)) = (is_directory, entry.file_name().into_string()) {
                units.entry(unit).or_insert_with(|| entry.path());
            }
        }
    }
    units
}

/// Another owner's unit whose name the units of `spec` would need in `directory`.
///
/// # Errors
/// When the directory cannot be read, or the spec cannot be rendered.
pub fn conflict(
    which: Which,
    spec: &Spec,
    directory: &UnitDirectory,
    unit_path: &[PathBuf],
) -> io::Result<Option<PathBuf>> {
    let survey = Survey::of(which, directory.clone(), unit_path, BTreeSet::new())?;
    let facts = survey.facts(Path::new("/portkeep"));
    super::plan::conflict(&facts, spec).map_err(io::Error::other)
}
