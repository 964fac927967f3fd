//! Rounds without cargo: where only files changed that recorded calls of rustc read, those calls are made again.
//!
//! cargo never takes an old unit for a new one: before the first call for a unit, cargo's fingerprint of it is removed, so that
//! cargo compiles the unit again whenever it builds next, whatever the times of its files are. What cargo made stays as it is:
//! a call writes into a directory of its own, and into rustc's incremental cache, which cargo does not look at. Each round
//! starts from the last good build of cargo's: all that changed since then is compiled again. Whatever is not known for certain
//! is cargo's.

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

use anyhow::Context;
use cargo_metadata::Artifact;
use tempfile::TempDir;
use tokio::process::Command;

use self::decide::{Cargos, choose, is_passing};
use self::graph::Graph;
pub(crate) use self::record::wrap_rustc;
pub(super) use self::run::{End, Run};
use self::settings::Settings;
use self::stamp::{Stamp, Stamps};
use self::unit::Unit;
use super::project::{BuildCommand, Project, With};
use super::relevance;

/// With it in the environment, every build is cargo's.
const CARGO_ONLY: &str = "PORTKEEP_CARGO_ONLY";
/// Below a directory of cargo's, for what is made here.
const OUTPUT: &str = "portkeep";

/// What is known of the builds of this session. A copy is the same one.
#[derive(Debug, Clone)]
pub(super) struct Direct(Option<Rc<RefCell<Known>>>);

#[derive(Debug)]
struct Known {
    directory: PathBuf,
    binary: String,
    /// Where the calls of a build are recorded. Only this user can read it.
    records: TempDir,
    units: BTreeMap<PathBuf, Unit>,
    good: Option<Good>,
    /// With these settings, no build is but cargo's.
    hopeless: Option<Settings>,
    /// Where the last calls wrote to.
    output: Option<PathBuf>,
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(output) = &self.output {
            // What is left is removed by a session of another day.
            let _ = fs::remove_dir_all(output);
        }
    }
}

/// The last good build of cargo's, which is the last thing that cargo did.
#[derive(Debug)]
struct Good {
    begun: Stamp,
    graph: Graph,
    settings: Settings,
    /// All files that it read.
    inputs: Stamps,
    /// The directories of what it made.
    made: Stamps,
    /// The units that cargo knows nothing of any more, by their keys.
    forgotten: BTreeSet<PathBuf>,
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
    pub(super) fn of(project: &Project) -> Self {
        let BuildCommand::Cargo(build) = &project.build else {
            return Self(None);
        };
        if !project.publishes() || std::env::var_os(CARGO_ONLY).is_some() {
            return Self(None);
        }
        // Without it, every build is cargo's.
        let records = tempfile::Builder::new().prefix("portkeep-").tempdir();
        let known = records.ok().map(|records| Known {
            directory: project.directory.clone(),
            binary: build.binary.clone(),
            records,
            units: BTreeMap::new(),
            good: None,
            hopeless: None,
            output: None,
        });
        Self(known.map(|known| Rc::new(RefCell::new(known))))
    }

    /// The calls that a change asks for; nothing where the round is cargo's. `changed` is what was heard of.
    pub(super) fn plan(&self, with: With, changed: Option<&[PathBuf]>) -> Option<Run> {
        let mut known = self.0.as_ref()?.borrow_mut();
        let run = match (with, changed) {
            (With::Meant, Some(changed)) => known.plan(changed),
            _ => None,
        };
        if run.is_none() {
            known.good = None;
        }
        run
    }

    /// Has the calls of a build by cargo recorded, where nobody else wraps them.
    pub(super) fn record(&self, with: With, command: &mut Command) -> Option<Recording> {
        let mut known = self.0.as_ref()?.borrow_mut();
        known.good = None;
        if with != With::Meant {
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
            known.units.clear();
        }
    }

    /// A unit was compiled, and read these files.
    fn compiled(&self, key: &Path, inputs: Vec<PathBuf>) {
        let Some(known) = &self.0 else { return };
        let mut known = known.borrow_mut();
        let Some(unit) = known.units.get_mut(key) else {
            return;
        };
        // What it read before is still what cargo compiled.
        unit.inputs.extend(inputs);
        unit.inputs.sort_unstable();
        unit.inputs.dedup();
    }

    /// All files that the units read.
    fn inputs(&self) -> Vec<PathBuf> {
        let Some(known) = &self.0 else {
            return Vec::new();
        };
        let known = known.borrow();
        let of_units = known.units.values().flat_map(|unit| unit.inputs.clone());
        let of_cargo = known.good.iter().flat_map(|good| good.inputs.paths());
        of_units.chain(of_cargo).collect()
    }
}

impl Known {
    fn plan(&mut self, heard: &[PathBuf]) -> Option<Run> {
        let planned = self.choose(heard);
        let keeps_records = match &planned {
            Ok(_) => true,
            Err(reason) => reason.is_some_and(Cargos::keeps_records),
        };
        if !keeps_records {
            // A record of something that is no more would only be in the way.
            self.units.clear();
        }
        let (units, lock) = planned.ok()?;
        self.good.as_mut()?.forget(&units).ok()?;
        let run = Run::new(units, lock, &self.binary).ok()?;
        self.output = Some(run.output().to_owned());
        Some(run)
    }

    /// Holds cargo's lock from before the last look at what cargo made.
    fn choose(&self, heard: &[PathBuf]) -> Result<(Vec<Unit>, File), Option<Cargos>> {
        let good = self.good.as_ref().ok_or(None)?;
        let units: Vec<_> = self.units.values().cloned().collect();
        let is_known = |path: &PathBuf| {
            good.inputs.has(path) || units.iter().any(|unit| unit.inputs.contains(path))
        };
        let is_heard = |path: &&PathBuf| !is_passing(path, path.exists(), is_known(path));
        let now: Vec<_> = heard.iter().filter(is_heard).cloned().collect();
        let mut since = good.inputs.changed_since(&good.begun);
        since.extend(now.iter().cloned());
        if since.iter().any(|path| !is_known(path) || !path.is_file()) {
            return Err(None);
        }
        let chosen = choose(&units, &good.graph, (&since, &now), &self.binary).map_err(Some)?;
        let first = chosen.first().ok_or(None)?;
        let lock = lock_of(first.directory_of_output()).ok_or(None)?;
        if good.settings != good.settings.now() || good.made != good.made.now() {
            return Err(None);
        }
        Ok((chosen.into_iter().cloned().collect(), lock))
    }

    fn record(&mut self, command: &mut Command) -> anyhow::Result<Option<Recording>> {
        let ours = std::env::current_exe().context("cannot tell this program's name")?;
        let settings = Settings::of(&self.directory);
        let is_hopeless = self.hopeless.as_ref().map(Settings::now) == self.hopeless;
        if self.hopeless.is_some() && is_hopeless || settings.wrap_rustc() || !ours.exists() {
            self.units.clear();
            return Ok(None);
        }
        let mark = self.records.path().join("begun");
        fs::write(&mark, "").context("cannot mark the beginning of a build")?;
        command
            .env("RUSTC_WRAPPER", ours)
            .env(record::DIRECTORY, self.records.path());
        Ok(Some(Recording {
            begun: Stamp::of(&mark),
            graph: Graph::default(),
            settings,
        }))
    }

    /// Nothing where something is missing: the next build is cargo's again.
    fn learn(&mut self, recording: Recording, executable: &Path) -> Option<Good> {
        let records = record::take(self.records.path());
        for record in records.ok()? {
            if let Some(unit) = Unit::new(record) {
                self.units.insert(unit.key(), unit);
            }
        }
        let mut files = relevance::inputs(executable);
        if files.is_empty() {
            return None;
        }
        let mut made = Vec::new();
        for unit in self.units.values_mut() {
            if unit.is_foreign() {
                continue;
            }
            let output = unit.directory_of_output().to_owned();
            unit.inputs = unit.inputs_by(&output)?;
            files.extend(unit.inputs.iter().cloned());
            made.push(output);
        }
        let inputs = Stamps::of(files);
        let Recording {
            begun,
            graph,
            settings,
        } = recording;
        if settings != settings.now() {
            return None;
        }
        let programs = self.units.values().map(|unit| unit.record.program.clone());
        let settings = settings
            .with(graph.manifests.iter().cloned().chain(programs))
            .with(graph.targets_to_come());
        if graph.needs_cargo() || self.units.values().any(|unit| unit.is_whole()) {
            self.hopeless = Some(settings);
            return None;
        }
        self.hopeless = None;
        Some(Good {
            begun,
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
