//! Rounds without cargo: where only files changed that recorded calls of rustc read, those calls are repeated.
//!
//! cargo never takes an old unit for a new one: before the first call for a unit, its fingerprint is removed under cargo's
//! lock. To cargo, the unit was never built, whatever the times of its files are, and the next build compiles it again. The
//! calls are exactly those that cargo made, so they read and write the same libraries and the same incremental cache. In
//! any doubt, cargo builds.

mod decide;
mod graph;
mod record;
mod run;
mod settings;
mod stamp;
mod unit;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cargo_metadata::Artifact;
use portkeep_engine::process::Children;
use tempfile::TempDir;
use tokio::process::Command;

use self::decide::{NeedsCargo, decide, is_passing};
use self::graph::Graph;
pub use self::record::wrap_rustc;
pub(super) use self::run::{End, Run};
use self::settings::Settings;
use self::stamp::{Stamp, Stamps};
use self::unit::Unit;
use super::dep_info;
use crate::project::{BuildCommand, ProfileChoice, Project};
use crate::screen::Screen;

/// The kernel stamps files with the time of its last tick, every 1 to 10 ms. A time in the future, which somebody set, is
/// not waited for.
const TICK: Duration = Duration::from_millis(1);
const TICKS: u32 = 12;

/// If it is set in the environment, cargo makes every build.
const CARGO_ONLY: &str = "PORTKEEP_CARGO_ONLY";

/// Records of the builds of this session. A clone shares them.
#[derive(Debug, Clone)]
pub(crate) struct Direct(Option<Rc<RefCell<BuildRecords>>>);

#[derive(Debug)]
struct BuildRecords {
    directory: PathBuf,
    binary: String,
    /// Directory of the recorded rustc calls. Only this user can read it.
    records: TempDir,
    units: BTreeMap<PathBuf, Unit>,
    good: Option<Good>,
    /// An unknown file has changed: the records are good if cargo finds nothing to do.
    is_doubtful: bool,
    /// With these settings, only cargo can build.
    hopeless: Option<Settings>,
}

/// The last good build, by cargo or without it, if cargo has built nothing after it.
#[derive(Debug)]
struct Good {
    begun: Stamp,
    /// The executable, where cargo put it.
    executable: PathBuf,
    graph: Graph,
    settings: Settings,
    /// All files that it read.
    inputs: Stamps,
    /// The directories of its output.
    made: Stamps,
    /// Keys of the units whose fingerprints were removed.
    forgotten: BTreeSet<PathBuf>,
}

/// Plan of a round without cargo.
enum Plan {
    /// No build reads what changed.
    Nothing,
    /// Compile these units from files as of a time, under cargo's lock.
    Calls(Vec<Unit>, Stamp, File),
}

/// A build by cargo whose rustc calls are recorded.
#[derive(Debug)]
pub(super) struct Recording {
    begun: Stamp,
    graph: Graph,
    settings: Settings,
}

impl Recording {
    pub(super) fn add(&mut self, artifact: &Artifact) {
        self.graph.add(artifact);
    }
}

impl Direct {
    pub(crate) fn of(project: &Project) -> Self {
        let BuildCommand::Cargo(build) = &project.build else {
            return Self(None);
        };
        if !project.publishes() || std::env::var_os(CARGO_ONLY).is_some() {
            return Self(None);
        }
        // Without it, cargo makes every build.
        let records = tempfile::Builder::new().prefix("portkeep-").tempdir();
        let known = records.ok().map(|records| BuildRecords {
            directory: project.directory.clone(),
            binary: build.binary.clone(),
            records,
            units: BTreeMap::new(),
            good: None,
            is_doubtful: false,
            hopeless: None,
        });
        Self(known.map(|known| Rc::new(RefCell::new(known))))
    }

    /// The rustc calls for the changed files `changed`; nothing if cargo has to build.
    pub(super) fn plan(
        &self,
        with: ProfileChoice,
        changed: Option<&[PathBuf]>,
        screen: &Arc<dyn Screen>,
        children: &Children,
    ) -> Option<Run> {
        let mut known = self.0.as_ref()?.borrow_mut();
        match (with, changed) {
            (ProfileChoice::Configured, Some(changed)) => known.plan(changed, screen, children),
            _ => {
                known.forget_records();
                None
            }
        }
    }

    /// Has the rustc calls of a build by cargo recorded, unless the user has a wrapper of rustc.
    pub(super) fn record(&self, with: ProfileChoice, command: &mut Command) -> Option<Recording> {
        let mut known = self.0.as_ref()?.borrow_mut();
        known.good = None;
        if with != ProfileChoice::Configured {
            return None;
        }
        // If it cannot, cargo makes the next build as well.
        known.record(command).ok().flatten()
    }

    /// Takes note of a good build by cargo.
    pub(super) fn learn(&self, recording: Recording, executable: &Path) {
        let Some(known) = &self.0 else { return };
        let mut known = known.borrow_mut();
        known.good = known.learn(recording, executable);
        if known.good.is_none() {
            known.forget_records();
        }
    }

    /// Takes note that calls wrote to cargo's directories and failed: everything that changed is compiled again.
    pub(super) fn wrote(&self) {
        let Some(known) = &self.0 else { return };
        if let Some(good) = &mut known.borrow_mut().good {
            good.made = good.made.now();
        }
    }

    /// Takes note that these units were compiled from files as of a time. Returns all files that the executable was made
    /// from.
    pub(super) fn compiled(&self, units: Vec<Unit>, begun: Stamp) -> Vec<PathBuf> {
        let Some(known) = &self.0 else {
            return Vec::new();
        };
        let mut known = known.borrow_mut();
        known
            .units
            .extend(units.into_iter().map(|unit| (unit.key(), unit)));
        let of_units: Vec<_> = known
            .units
            .values()
            .flat_map(|unit| unit.inputs.iter().cloned())
            .collect();
        let Some(good) = &mut known.good else {
            return of_units;
        };
        good.begun = begun;
        good.made = good.made.now();
        good.inputs = good.inputs.now();
        good.inputs.add(of_units);
        good.inputs.paths().collect()
    }
}

impl BuildRecords {
    fn plan(
        &mut self,
        heard: &[PathBuf],
        screen: &Arc<dyn Screen>,
        children: &Children,
    ) -> Option<Run> {
        let planned = self.choose(heard);
        match &planned {
            Ok(_) | Err(Some(NeedsCargo::NotRecorded)) => {}
            Err(Some(NeedsCargo::Unknown)) => self.is_doubtful = true,
            Err(_) => self.forget_records(),
        }
        let planned = planned.ok()?;
        let good = self.good.as_mut()?;
        let executable = good.executable.clone();
        Some(match planned {
            Plan::Nothing => Run::nothing(executable, screen.clone()),
            Plan::Calls(units, begun, lock) => {
                good.forget(&units).ok()?;
                Run::new(
                    units,
                    executable,
                    begun,
                    lock,
                    screen.clone(),
                    children.clone(),
                )
            }
        })
    }

    /// The stamp of a new file: as old as everything that is read from now on.
    fn mark(&self) -> std::io::Result<Stamp> {
        let mark = self.records.path().join("begun");
        fs::write(&mark, "")?;
        Ok(Stamp::of(&mark))
    }

    /// A stamp that is newer than the changes `heard`. The clock of file systems is coarse: a save with the same time as
    /// its round would be compiled again in the next.
    fn mark_after(&self, heard: &[PathBuf]) -> std::io::Result<Stamp> {
        let mut mark = self.mark()?;
        for _ in 0..TICKS {
            let is_as_old = |path: &PathBuf| path.exists() && Stamp::of(path).is_since(&mark);
            if !heard.iter().any(is_as_old) {
                break;
            }
            std::thread::sleep(TICK);
            mark = self.mark()?;
        }
        Ok(mark)
    }

    /// Forgets the records, because something changed that may change the calls. An outdated record could be mistaken for a
    /// current one.
    fn forget_records(&mut self) {
        self.units.clear();
        self.good = None;
        // If they cannot be read, the next build teaches nothing.
        let _ = record::take(self.records.path());
    }

    /// Holds cargo's lock from before the last look at cargo's output.
    fn choose(&self, heard: &[PathBuf]) -> Result<Plan, Option<NeedsCargo>> {
        let good = self.good.as_ref().ok_or(None)?;
        let begun = self.mark_after(heard).map_err(|_| None)?;
        if good.settings != good.settings.now() {
            return Err(None);
        }
        let units: Vec<_> = self.units.values().cloned().collect();
        let is_known = |path: &PathBuf| {
            good.inputs.has(path) || units.iter().any(|unit| unit.inputs.contains(path))
        };
        let is_heard = |path: &&PathBuf| !is_passing(path, path.exists(), is_known(path));
        let mut since = good.inputs.changed_since(&good.begun);
        since.extend(heard.iter().filter(is_heard).cloned());
        if since
            .iter()
            .any(|path| !path.is_file() || good.settings.has(path))
        {
            return Err(None);
        }
        let (since, unknown): (Vec<_>, Vec<_>) = since.into_iter().partition(is_known);
        if !unknown.iter().all(|path| good.graph.is_read_by_none(path)) {
            return Err(Some(NeedsCargo::Unknown));
        }
        if since.is_empty() && !unknown.is_empty() {
            let is_ours = good.made == good.made.now();
            return is_ours.then_some(Plan::Nothing).ok_or(None);
        }
        let chosen = decide(&units, &good.graph, &since, &self.binary).map_err(Some)?;
        let first = chosen.first().ok_or(None)?;
        let lock = lock_of(first.directory_of_output()).ok_or(None)?;
        if good.made != good.made.now() {
            return Err(None);
        }
        Ok(Plan::Calls(
            chosen.into_iter().cloned().collect(),
            begun,
            lock,
        ))
    }

    fn record(&mut self, command: &mut Command) -> anyhow::Result<Option<Recording>> {
        let ours = std::env::current_exe().context("cannot tell this program's name")?;
        let settings = Settings::of(&self.directory);
        let hopeless = self.hopeless.as_ref();
        let is_hopeless = hopeless.is_some_and(|settings| settings.now() == *settings);
        if is_hopeless || settings.wrap_rustc() || !ours.exists() {
            self.forget_records();
            return Ok(None);
        }
        let begun = self
            .mark()
            .context("cannot mark the beginning of a build")?;
        command
            .env("RUSTC_WRAPPER", ours)
            .env(record::DIRECTORY, self.records.path());
        Ok(Some(Recording {
            begun,
            graph: Graph::default(),
            settings,
        }))
    }

    /// Learns from a build by cargo; nothing if something is missing: then cargo makes the next build as well.
    fn learn(&mut self, recording: Recording, executable: &Path) -> Option<Good> {
        let first = record::first(self.records.path());
        let records = record::take(self.records.path());
        let records = records.ok()?;
        if std::mem::take(&mut self.is_doubtful) && !records.is_empty() {
            self.units.clear();
        }
        for record in records {
            if let Some(unit) = Unit::new(record) {
                self.units.insert(unit.key(), unit);
            }
        }
        let mut files = dep_info::inputs(executable);
        if files.is_empty() {
            return None;
        }
        let mut made = Vec::new();
        for unit in self.units.values_mut() {
            if unit.is_foreign() {
                continue;
            }
            unit.inputs = unit.inputs_now()?;
            files.extend(unit.inputs.iter().cloned());
            made.push(unit.directory_of_output().to_owned());
        }
        let inputs = Stamps::of(files);
        let Recording {
            begun,
            graph,
            settings,
        } = recording;
        let settings = settings.after_cargo(first.as_ref())?;
        let programs = self.units.values().map(|unit| unit.record.program.clone());
        // A workspace may begin elsewhere than above the project.
        let workspaces = self.units.values().flat_map(|unit| {
            ["Cargo.toml", "Cargo.lock"].map(|name| unit.record.directory.join(name))
        });
        let settings = settings
            .with(graph.manifests.iter().cloned().chain(programs))
            .with(workspaces)
            .with(graph.targets_to_come());
        if graph.needs_cargo() || self.units.values().any(|unit| unit.is_whole()) {
            self.hopeless = Some(settings);
            return None;
        }
        self.hopeless = None;
        Some(Good {
            begun,
            executable: executable.to_owned(),
            graph,
            settings,
            inputs,
            made: Stamps::of(made),
            forgotten: BTreeSet::new(),
        })
    }
}

impl Good {
    /// Has cargo compile these units in its next build.
    fn forget(&mut self, units: &[Unit]) -> anyhow::Result<()> {
        for unit in units {
            let key = unit.key();
            if self.forgotten.contains(&key) {
                continue;
            }
            let fingerprint = unit.fingerprint().context("the unit has no package")?;
            let fail = || format!("cannot remove {}", fingerprint.display());
            fs::remove_dir_all(&fingerprint).with_context(fail)?;
            self.forgotten.insert(key);
        }
        Ok(())
    }
}

/// cargo's lock of the directory `output`; nothing if another process has it, or cargo has none.
fn lock_of(output: &Path) -> Option<File> {
    let lock = File::open(output.parent()?.join(".cargo-lock")).ok()?;
    lock.try_lock().ok()?;
    Some(lock)
}
