//! Plan of an install: its changes, decided from the present and the wanted state. No I/O.

mod in_the_way;
mod replaced;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use portkeep_spec::{AppName, Manager as Which, Spec, unit_names};

use super::files::{Change, Entry, Files, difference};
use super::inventory::{Inventory, wanting};
use super::metrics;
use super::place::UnitDirectory;
use super::refusal::{Refusal, Why};
use super::sockets::{self, SocketChanges, Sockets};
use super::unit_files::{Readable, UnitFiles, shared, spec_entry};
pub(super) use in_the_way::conflict;
use in_the_way::{same_ports, taken_name};
use replaced::Replaced;

/// A spec to install.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The file that it was read from.
    pub source: PathBuf,
    /// Its contents.
    pub spec: Spec,
}

/// Options of an install.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether ports are opened at once.
    pub open: bool,
    /// The app that the only app of the call replaces.
    pub replaces: Option<AppName>,
    /// The directory for metrics.
    pub metrics: Option<PathBuf>,
}

/// The spec of an installed app.
#[derive(Debug, Clone)]
pub struct InstalledSpec {
    /// Its file.
    pub entry: Entry,
    /// Its contents; none if this version cannot read it.
    pub spec: Option<Spec>,
}

/// The present state.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The manager.
    pub which: Which,
    /// The directory for units.
    pub directory: &'a UnitDirectory,
    /// Its contents.
    pub inventory: &'a Inventory,
    /// Units of other directories of the manager, by name.
    pub elsewhere: &'a BTreeMap<String, PathBuf>,
    /// The specs of installed apps.
    pub specs: &'a BTreeMap<AppName, InstalledSpec>,
    /// The units that are active.
    pub active: &'a BTreeSet<String>,
    /// The helper for units.
    pub helper: &'a Path,
}

/// How a running app gets to its installed release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// A reload of its handle.
    Reload,
    /// A restart, which opens additional sockets. Connections to the others wait.
    Restart,
    /// Its first start, beside the app that it replaces. If that fails, no holding page is shown: the other app serves.
    TakeOver,
}

/// The changes for one app.
#[derive(Debug, Clone)]
pub struct AppPlan {
    /// Its name.
    pub name: AppName,
    /// The file of its spec.
    pub source: PathBuf,
    /// Its spec.
    pub spec: Spec,
    /// Number of its unit files.
    pub units: usize,
    /// Whether it was not installed before.
    pub is_new: bool,
    /// All changes of files, for people.
    pub changes: Vec<Change>,
    /// Changes before the handover.
    pub(super) first: Vec<Change>,
    /// Changes once it serves, while the replaced app still runs.
    pub(super) second: Vec<Change>,
    /// Changes after it: files of sockets that must not be lost if it fails.
    pub(super) last: Vec<Change>,
    /// How it gets to its installed release; none if it does not run.
    pub handover: Option<Handover>,
    /// Sockets and path units to start.
    pub opens: Vec<String>,
    /// Those of them that are not active yet.
    pub not_open: Vec<String>,
    /// Sockets whose units are removed.
    pub closes: Vec<String>,
    /// Open sockets that keep their old access until they are opened again.
    pub anew: Vec<String>,
    /// Open sockets that get another unit, the old one first.
    pub renamed: Vec<(String, String)>,
    /// The app that it replaces.
    pub replaces: Option<AppName>,
}

/// The changes of an install.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Files that all apps share.
    pub shared: Vec<Change>,
    /// Each app.
    pub apps: Vec<AppPlan>,
    /// The message catalog, at the end.
    pub catalog: Option<Change>,
}

impl Plan {
    /// All changes of files.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        let of_apps = self.apps.iter().flat_map(|app| &app.changes);
        self.shared.iter().chain(of_apps).chain(&self.catalog)
    }
}

/// Decides the changes for an install of `asked`, or names all reasons against it.
///
/// # Errors
/// Each refusal, with the file of its spec.
pub fn plan(facts: &Facts<'_>, asked: &[Asked], options: &Options) -> Result<Plan, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut apps: Vec<AppPlan> = Vec::new();
    let mut owners: BTreeMap<String, AppName> = BTreeMap::new();
    for one in asked {
        let mut refuse = |why: Why| {
            refusals.push(Refusal {
                source: one.source.clone(),
                why,
            });
        };
        let name = &one.spec.name;
        let before = asked.iter().take_while(|other| other.source != one.source);
        if let Some(other) = before.clone().find(|other| other.spec.name == *name) {
            refuse(Why::Twice {
                name: name.clone(),
                other: other.source.clone(),
            });
            continue;
        }
        let spec_path = facts.directory.spec_path(name);
        let files = match UnitFiles::render(&one.spec, facts.helper, &spec_path, facts.which) {
            Ok(files) => files,
            Err(error) => {
                refuse(Why::Spec(error));
                continue;
            }
        };
        let taken = taken_name(facts, name, &files, options.replaces.as_ref()).or_else(|| {
            let mut units = files.units();
            units.find_map(|unit| {
                owners.get(unit).map(|owner| Why::Name {
                    name: name.clone(),
                    unit: facts.directory.path().join(unit),
                    owner: Some(owner.to_string()),
                })
            })
        });
        let is_taken = taken.is_some();
        taken.into_iter().for_each(&mut refuse);
        owners.extend(files.units().map(|unit| (unit.to_owned(), name.clone())));
        same_ports(facts, &one.spec, before, options.replaces.as_ref())
            .into_iter()
            .for_each(&mut refuse);
        if is_taken {
            continue;
        }
        match of_app(facts, one, &files, options) {
            Ok(app) => apps.push(app),
            Err(whys) => whys.into_iter().for_each(refuse),
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let shared = shared(facts.which, facts.directory.path());
    let refuse_all = |error| {
        let source = asked.first().map(|one| one.source.clone());
        vec![Refusal {
            source: source.unwrap_or_default(),
            why: Why::Spec(error),
        }]
    };
    let shared = shared.map_err(refuse_all)?;
    let there = shared.keys().filter_map(|path| {
        let entry = facts.inventory.get(path)?;
        Some((path.clone(), entry.clone()))
    });
    let metrics = metrics::changes(
        facts.which,
        facts.inventory,
        facts.helper,
        options.metrics.as_deref(),
    );
    let metrics = metrics.map_err(refuse_all)?;
    Ok(Plan {
        shared: [difference(&there.collect(), &shared), metrics].concat(),
        apps,
        catalog: None,
    })
}

/// The texts of the socket units among `files`.
fn socket_units(files: &Files) -> Sockets {
    let sockets = files.iter().filter(|(path, _)| !wanting(path));
    sockets
        .filter_map(|(path, entry)| {
            let unit = path.file_name()?.to_str()?;
            let is_file = matches!(entry, Entry::File { .. });
            (is_file && unit.ends_with(".socket")).then(|| (unit.to_owned(), entry.text()))
        })
        .collect()
}

fn of_app(
    facts: &Facts<'_>,
    asked: &Asked,
    files: &UnitFiles,
    options: &Options,
) -> Result<AppPlan, Vec<Why>> {
    let spec = &asked.spec;
    let name = &spec.name;
    let directory = facts.directory.path();
    let there = installed_files(facts, name);
    let wanted = wanted_files(facts, spec, files, &there);
    let is_active = |unit: &String| facts.active.contains(unit);
    let (had, has) = (socket_units(&there), socket_units(&wanted));
    let replaced = Replaced::of(facts, name, &there, &has, options)?;
    let mut changes = sockets::changes(name, &had, &has, facts.active);
    if let Some(old) = &replaced {
        // Its ports are taken over; its other parts are removed.
        changes.renamed.extend(old.renamed.iter().cloned());
        changes
            .added
            .retain(|unit| !changes.renamed.iter().any(|(_, new)| new == unit));
    }
    let SocketChanges {
        renamed,
        added,
        closed,
        anew,
        elsewhere,
    } = changes;
    if !elsewhere.is_empty() {
        let elsewhere = elsewhere.into_iter().map(|socket| Why::AddressMismatch {
            name: name.clone(),
            which: facts.which,
            socket,
        });
        return Err(elsewhere.collect());
    }
    let mut before = there.clone();
    before.extend(replaced.iter().flat_map(|old| old.files.clone()));
    let handle = unit_names::handle(name);
    let old_handle = replaced.as_ref().map(|old| unit_names::handle(&old.name));
    let runs = is_active(&handle) || old_handle.as_ref().is_some_and(is_active);
    let is_open = had.keys().any(is_active) || !renamed.is_empty();
    let handover = match runs {
        true if !is_active(&handle) => Some(Handover::TakeOver),
        true if !added.is_empty() => Some(Handover::Restart),
        true => Some(Handover::Reload),
        false => None,
    };
    let opens = match (options.open || replaced.is_some() && is_open, is_open) {
        (true, _) => files.enabled(),
        (false, true) => added,
        (false, false) => Vec::new(),
    };
    let middle = in_the_middle(&before, &wanted, &renamed, replaced.as_ref(), directory);
    let mut beginning = middle.clone();
    if let Some(old) = replaced.as_ref().filter(|_| runs) {
        old.keeps_being_started(&mut beginning, &renamed, name, directory);
    }
    Ok(AppPlan {
        name: name.clone(),
        source: asked.source.clone(),
        spec: spec.clone(),
        units: files.files().len(),
        is_new: there.is_empty(),
        changes: difference(&before, &wanted),
        first: difference(&before, &beginning),
        second: difference(&beginning, &middle),
        last: difference(&middle, &wanted),
        handover,
        not_open: opens
            .iter()
            .filter(|unit| !is_active(unit))
            .cloned()
            .collect(),
        opens,
        closes: closed.into_iter().filter(is_active).collect(),
        anew,
        renamed,
        replaces: replaced.map(|old| old.name),
    })
}

/// The present files of an app: its units, the links to them, and its spec.
pub(super) fn installed_files(facts: &Facts<'_>, name: &AppName) -> Files {
    let mut files = facts.inventory.of_app(name);
    if let Some(spec) = facts.specs.get(name) {
        files.insert(facts.directory.spec_path(name), spec.entry.clone());
    }
    files
}

/// The wanted files of an app. Links by which units of others want its own stay.
fn wanted_files(facts: &Facts<'_>, spec: &Spec, files: &UnitFiles, there: &Files) -> Files {
    let directory = facts.directory.path();
    let mut wanted = files.in_directory(directory);
    wanted.extend(files.links(directory));
    wanted.insert(
        facts.directory.spec_path(&spec.name),
        spec_entry(spec, Readable::ByOwner),
    );
    let others = there.iter().filter(|(path, _)| {
        let unit = path.file_name().and_then(|unit| unit.to_str());
        wanting(path)
            && !is_wanted_by_us(path, &spec.name)
            && unit.is_some_and(|unit| files.has(unit))
    });
    wanted.extend(others.map(|(path, entry)| (path.clone(), entry.clone())));
    wanted
}

/// Whether a link is below a target that this version, or an earlier one, uses for an app's units.
fn is_wanted_by_us(link: &Path, name: &AppName) -> bool {
    let target = link.parent().and_then(|parent| parent.file_stem());
    let own = unit_names::target(name);
    target
        .and_then(|target| target.to_str())
        .is_some_and(|target| {
            target == own
                || ["sockets.target", "default.target", "multi-user.target"].contains(&target)
        })
}

/// The files during the handover: the wanted ones, and those that must not be lost if it fails. The unit of a renamed open
/// socket is a link to the new one: so the manager takes both for one unit, and the socket stays open.
fn in_the_middle(
    before: &Files,
    wanted: &Files,
    renamed: &[(String, String)],
    replaced: Option<&Replaced>,
    directory: &Path,
) -> Files {
    let mut middle = wanted.clone();
    let is_kept = |path: &Path| {
        let is_socket = path.extension().is_some_and(|ending| ending == "socket");
        let is_of_replaced = replaced.is_some_and(|old| old.files.contains_key(path));
        let is_move = path
            .to_str()
            .is_some_and(|path| path.ends_with("-move.socket"));
        is_of_replaced && !wanting(path) || is_socket && !is_move
    };
    for (path, entry) in before {
        if !wanted.contains_key(path) && is_kept(path) {
            middle.insert(path.clone(), entry.clone());
        }
    }
    for (old, new) in renamed {
        middle.insert(directory.join(old), Entry::Link(new.into()));
        middle.retain(|path, _| !(wanting(path) && path.ends_with(old)));
    }
    middle
}

#[cfg(test)]
mod tests;
