//! Rounds without cargo: where only files changed that recorded calls of rustc read, those calls are repeated.
//!
//! cargo never takes an old unit for a new one: before the first call for a unit, cargo's fingerprint of it is removed, under
//! cargo's lock. For cargo the unit was never built, whatever the times of its files are, and the next build compiles it again.
//! The calls are those that cargo made, to the letter, so they use and leave the same libraries and the same incremental cache.
//! Whatever is not known for certain is cargo's.

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

/// The kernel gives files the time of its last tick: each 1 to 10 ms. A time in the future, which somebody set, is not waited for.
const TICK: Duration = Duration::from_millis(1);
const TICKS: u32 = 12;

/// With it in the environment, every build is cargo's.
const CARGO_ONLY: &str = "PORTKEEP_CARGO_ONLY";

/// Records of the builds of this session. A clone shares them.
#[derive(Debug, Clone)]
pub(crate) struct Direct(Option<Rc<RefCell<BuildRecords>>>);

#[derive(Debug)]
struct BuildRecords {
    directory: PathBuf,
    binary: String,
    /// Where the calls of a build are recorded. Only this user can read it.
    records: TempDir,
    units: BTreeMap<PathBuf, Unit>,
    good: Option<Good>,
    /// A file that nobody knows has changed: the records are good if cargo finds nothing to do.
    is_doubtful: bool,
    /// With these settings, no build is but cargo's.
    hopeless: Option<Settings>,
}

/// The last good build, by cargo or without it, with nothing of cargo's after it.
#[derive(Debug)]
struct Good {
    begun: Stamp,
    /// Where cargo put the program.
    executable: PathBuf,
    graph: Graph,
    settings: Settings,
    /// All files that it read.
    inputs: Stamps,
    /// The directories of what it made.
    made: Stamps,
    /// The units that cargo knows nothing of any more, by their keys.
    forgotten: BTreeSet<PathBuf>,
}

/// What a round without cargo does.
enum Plan {
    /// What changed is read by no build.
    Nothing,
    /// These units are compiled, of files as they are since a time, under cargo's lock.
    Calls(Vec<Unit>, Stamp, File),
}

/// A build of cargo's whose calls are recorded.
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
        // Without it, every build is cargo's.
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

    /// The calls that a change asks for; nothing where the round is cargo's. `changed` is what was heard of.
    pub(super) fn plan(
        &self,
        with: ProfileChoice,
        changed: Option<&[PathBuf]>,
        screen: &Arc<dyn Screen>,
        children: &Children,
    ) -> Option<Run> {
        let mut known = self.0.as_ref()?.borrow_mut();
        match (with, changed) {
            (ProfileChoice::Meant, Some(changed)) => known.plan(changed, screen, children),
            _ => {
                known.forget_records();
                None
            }
        }
    }

    /// Has the calls of a build by cargo recorded, where nobody else wraps them.
    pub(super) fn record(&self, with: ProfileChoice, command: &mut Command) -> Option<Recording> {
        let mut known = self.0.as_ref()?.borrow_mut();
        known.good = None;
        if with != ProfileChoice::Meant {
            return None;
        }
        // Says nothing where it cannot: the next build is cargo's, too.
        known.record(command).ok().flatten()
    }

    /// A build by cargo came to a good end.
    pub(super) fn learn(&self, recording: Recording, executable: &Path) {
        let Some(known) = &self.0 else { return };
        let mut known = known.borrow_mut();
        known.good = known.learn(recording, executable);
        if known.good.is_none() {
            known.forget_records();
        }
    }

    /// Calls wrote into cargo's directories, but came to no good end: all that changed is compiled again.
    pub(super) fn wrote(&self) {
        let Some(known) = &self.0 else { return };
        if let Some(good) = &mut known.borrow_mut().good {
            good.made = good.made.now();
        }
    }

    /// These units are compiled, of files as they were at a time. Answers all files that the program was made of.
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

    /// A file that is as old as what is read from now on.
    fn mark(&self) -> std::io::Result<Stamp> {
        let mark = self.records.path().join("begun");
        fs::write(&mark, "")?;
        Ok(Stamp::of(&mark))
    }

    /// A mark that is younger than what was heard of. The clock of file systems is coarse, and a save that is as old as its round
    /// would be compiled once more in the next.
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

    /// What was recorded is of the time before something changed that may have changed the calls. A record of something that is
    /// no more could be taken for what is there.
    fn forget_records(&mut self) {
        self.units.clear();
        self.good = None;
        // Where they cannot be read, nothing is learned of the next build.
        let _ = record::take(self.records.path());
    }

    /// Holds cargo's lock from before the last look at what cargo made.
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

    /// Nothing where something is missing: the next build is cargo's again.
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
    /// Has cargo compile these units whenever it builds next.
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

/// cargo's lock of what it makes in `output`; nothing where somebody has it, or where cargo has none.
fn lock_of(output: &Path) -> Option<File> {
    let lock = File::open(output.parent()?.join(".cargo-lock")).ok()?;
    lock.try_lock().ok()?;
    Some(lock)
}
