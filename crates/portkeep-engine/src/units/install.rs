//! Installs apps: checks everything, then places, loads and starts the units. A failure takes everything back.

mod error;
mod take_back;
mod tidy;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use portkeep_spec::{Address, AppName, Spec, contract, unit_names};

use super::catalog::{Catalog, CatalogError};
use super::files::{Change, Journal};
use super::helper::{self, Helper};
use super::manager::UnitManager;
use super::place::UnitDirectory;
use super::plan::{AppPlan, Asked, Handover, Options, Plan, plan};
use super::refusal::Refusals;
use super::survey::{Survey, place};
use crate::backend::systemd::{JobResult, Manager};
use crate::directories::Directories;
use crate::execute::Outcome;
use crate::release::Digest;
use crate::store::{Lock, LockFile, Store};

use error::with_causes;
pub use error::{Failure, InstallError};

/// How long another install may take before we give up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Number of apps that hand over at once.
const AT_ONCE: usize = 8;

/// A checked install that has changed nothing yet.
#[derive(Debug)]
pub struct Install<'a, M> {
    manager: &'a M,
    survey: Survey,
    directory: UnitDirectory,
    all: Directories,
    plan: Plan,
    helper: Helper,
    _lock: Option<Lock>,
}

/// The result of an install.
#[derive(Debug)]
pub struct Installed {
    /// The directory of the units.
    pub directory: UnitDirectory,
    /// Changes of files that all apps share.
    pub shared: Vec<Change>,
    /// Each app, with the outcome of its handover if it runs.
    pub apps: Vec<(AppPlan, Option<Outcome>)>,
    /// Leftovers that could not be removed.
    pub leftovers: Vec<String>,
}

/// A call of `install`.
pub struct Call<'a> {
    /// The specs.
    pub asked: Vec<Asked>,
    /// The options.
    pub options: Options,
    /// The helper for the units.
    pub helper: Helper,
    /// Whether this is a dry run: nothing is locked, and the install is not carried out.
    pub only_look: bool,
    /// Describes the owner of an address, and the remedy.
    pub owner: &'a dyn Fn(&Address) -> Option<String>,
}

impl<'a> Install<'a, Manager> {
    /// Checks everything that can be checked before anything changes.
    ///
    /// # Errors
    /// All that speaks against it.
    pub async fn prepare(manager: &'a Manager, call: Call<'_>) -> Result<Self, InstallError> {
        let which = manager.which();
        let unit_path = manager.unit_path().await?;
        let directory = UnitDirectory::lasting(which, &unit_path)?;
        let all = Directories::all(place(which))?;
        // Before any look: of two at once, each would plan for the state before the other.
        let lock = match call.only_look {
            true => None,
            false => Some(lock(&all.run)?),
        };
        let patterns: Vec<_> = call
            .asked
            .iter()
            .map(|one| &one.spec.name)
            .chain(&call.options.replaces)
            .map(|name| format!("{name}*"))
            .collect();
        let patterns: Vec<_> = patterns.iter().map(String::as_str).collect();
        let loaded = manager.list(&patterns).await?;
        let active = loaded.into_iter().filter(|(_, state)| state.is_active());
        let active: BTreeSet<_> = active.map(|(unit, _)| unit).collect();
        let survey = Survey::of(which, directory.clone(), &unit_path, active)
            .map_err(InstallError::Survey)?;
        let of_machine = survey.refusals(&call.asked, &call.options, call.owner);
        let planned = plan(
            &survey.facts(call.helper.path()),
            &call.asked,
            &call.options,
        );
        let plan = match planned {
            Ok(plan) if of_machine.is_empty() => Plan {
                catalog: Catalog::of_machine().change(which),
                ..plan
            },
            Ok(_) => return Err(Refusals(of_machine).into()),
            Err(mut refusals) => {
                refusals.extend(of_machine);
                return Err(Refusals(refusals).into());
            }
        };
        Ok(Self {
            manager,
            survey,
            directory,
            all,
            plan,
            helper: call.helper,
            _lock: lock,
        })
    }
}

fn apply<'a>(
    files: &mut Journal,
    changes: impl IntoIterator<Item = &'a Change>,
) -> Result<(), Failure> {
    for change in changes {
        files.apply(change).map_err(|error| Failure::File {
            path: change.path.clone(),
            error,
        })?;
    }
    Ok(())
}

/// Waits for another install or uninstall to end. `run` is the runtime directory of all apps.
pub(super) fn lock(run: &std::path::Path) -> Result<Lock, InstallError> {
    let path = helper::lock_path(run).map_err(InstallError::Survey)?;
    Ok(LockFile::at(path).take(PATIENCE)?)
}

/// An app that was asked to hand over, its earlier release, and the outcome.
type HandedOver = (AppName, Option<Digest>, Result<Outcome, String>);

/// The steps so far.
#[derive(Debug, Default)]
struct Done {
    files: Journal,
    /// Directories for all apps that were missing.
    bases: Vec<PathBuf>,
    placed_helper: bool,
    /// Whether the manager may have read the files.
    read: bool,
    closed: Vec<String>,
    /// Apps that were asked to hand over, with their earlier releases.
    handed_over: Vec<(AppName, Option<Digest>)>,
    outcomes: Vec<(AppName, Outcome)>,
    opened: Vec<String>,
}

impl<M: UnitManager> Install<'_, M> {
    /// Its changes.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Carries it out, or changes nothing. If `interrupted` is set meanwhile, the running step is awaited, and everything
    /// is taken back.
    ///
    /// # Errors
    /// The step that failed.
    pub async fn carry_out(mut self, interrupted: &AtomicBool) -> Result<Installed, InstallError> {
        let bases = [&self.all.state, &self.all.run].map(Clone::clone);
        let mut done = Done {
            bases: bases.into_iter().filter(|base| !base.exists()).collect(),
            ..Done::default()
        };
        match self.helper.place() {
            Ok(is_new) => done.placed_helper = is_new,
            Err(error) => {
                self.take_back(done).await;
                return Err(error.into());
            }
        }
        if let Err(failure) = self.steps(&mut done, interrupted).await {
            let left = self.take_back(done).await;
            return Err(InstallError::Failed(failure, left));
        }
        let mut leftovers = self.tidy(&mut done).await;
        leftovers.extend(self.watch().await);
        leftovers.extend(self.explain().await.err().map(|error| error.to_string()));
        let mut outcomes = done.outcomes;
        let apps = self.plan.apps.into_iter().map(|app| {
            let at = outcomes.iter().position(|(name, _)| *name == app.name);
            let outcome = at.map(|at| outcomes.swap_remove(at).1);
            (app, outcome)
        });
        Ok(Installed {
            directory: self.directory,
            shared: self.plan.shared,
            apps: apps.collect(),
            leftovers,
        })
    }

    /// Starts the timer of the metrics if its files are new. Returns why it failed; an app serves without it.
    async fn watch(&self) -> Option<String> {
        let is_timer = |change: &&Change| change.path.ends_with(contract::METRICS_TIMER);
        self.plan.shared.iter().find(is_timer)?;
        let timer = [contract::METRICS_TIMER.to_owned()];
        match self.manager.start_all(&timer).await {
            Ok(ended) => {
                let failed = ended
                    .into_iter()
                    .find(|one| one.result != JobResult::Done)?;
                Some(format!("{} did not start ({})", failed.unit, failed.result))
            }
            Err(error) => Some(with_causes(&error)),
        }
    }

    /// Has `journalctl -x` explain our entries. An app serves without it.
    async fn explain(&self) -> Result<(), CatalogError> {
        match &self.plan.catalog {
            Some(change) => Catalog::of_machine().apply(change).await,
            None => Ok(()),
        }
    }

    async fn steps(&self, done: &mut Done, interrupted: &AtomicBool) -> Result<(), Failure> {
        let go_on = || match interrupted.load(Ordering::SeqCst) {
            true => Err(Failure::Interrupted),
            false => Ok(()),
        };
        self.sweep_files();
        self.make_directories(&mut done.files)?;
        let first = self.plan.apps.iter().flat_map(|app| &app.first);
        apply(&mut done.files, self.plan.shared.iter().chain(first))?;
        go_on()?;
        done.read = true;
        self.manager.read_files().await?;
        // The move socket: without its file, it would stay active and have no descriptor.
        done.closed = self.closes(|app, unit| *unit == unit_names::move_socket(&app.name));
        self.manager.stop_all(&done.closed).await?;
        go_on()?;
        self.hand_over(done, interrupted).await?;
        go_on()?;
        self.open(done).await?;
        go_on()?;
        let second: Vec<_> = self.plan.apps.iter().flat_map(|app| &app.second).collect();
        if !second.is_empty() {
            apply(&mut done.files, second)?;
            self.manager.read_files().await?;
        }
        Ok(())
    }

    /// Creates missing directories, so that they can be removed again.
    fn make_directories(&self, files: &mut Journal) -> Result<(), Failure> {
        for app in &self.plan.apps {
            let directories = self.all.of_app(&app.name);
            let made = [&directories.state, &directories.run]
                .into_iter()
                .filter(|directory| !directory.exists());
            let made: Vec<_> = made.cloned().collect();
            for directory in made {
                files.made(directory);
            }
            let opened =
                Store::open(&app.name, &directories).and_then(|store| store.ensure_state());
            opened.map_err(|error| Failure::File {
                path: directories.state,
                error,
            })?;
        }
        Ok(())
    }

    fn closes(&self, is_one: impl Fn(&AppPlan, &String) -> bool) -> Vec<String> {
        let apps = self.plan.apps.iter();
        let units = apps.flat_map(|app| app.closes.iter().filter(|unit| is_one(app, unit)));
        units.cloned().collect()
    }

    async fn hand_over(&self, done: &mut Done, interrupted: &AtomicBool) -> Result<(), Failure> {
        let failed = AtomicBool::new(false);
        let running = self.plan.apps.iter();
        let handovers = running
            .filter_map(|app| Some(self.hand_over_one(app, app.handover?, &failed, interrupted)));
        let handovers: Vec<_> = handovers.collect();
        let mut handovers = futures_util::stream::iter(handovers).buffer_unordered(AT_ONCE);
        let mut failures = Vec::new();
        while let Some(handover) = handovers.next().await {
            let Some((name, before, outcome)) = handover else {
                continue;
            };
            done.handed_over.push((name.clone(), before));
            match outcome {
                Ok(outcome) => done.outcomes.push((name, outcome)),
                Err(reason) => failures.push((name, reason)),
            }
        }
        match failures.is_empty() {
            true => Ok(()),
            false => Err(Failure::NotHandedOver(failures)),
        }
    }

    /// Returns the earlier release of the app, and the outcome; nothing if another app has failed already.
    async fn hand_over_one(
        &self,
        app: &AppPlan,
        how: Handover,
        failed: &AtomicBool,
        interrupted: &AtomicBool,
    ) -> Option<HandedOver> {
        if failed.load(Ordering::SeqCst) || interrupted.load(Ordering::SeqCst) {
            return None;
        }
        let before = self.manager.serving(&app.name);
        let outcome = match self.manager.hand_over(&app.spec, how).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(not)) => Err(not.reason),
            Err(error) => Err(with_causes(&error)),
        };
        failed.fetch_or(outcome.is_err(), Ordering::SeqCst);
        Some((app.name.clone(), before, outcome))
    }

    async fn open(&self, done: &mut Done) -> Result<(), Failure> {
        let units: Vec<_> = self
            .plan
            .apps
            .iter()
            .flat_map(|app| app.opens.clone())
            .collect();
        done.opened.clone_from(&units);
        let ended = self.manager.start_all(&units).await?;
        let Some(failed) = ended.into_iter().find(|one| one.result != JobResult::Done) else {
            return Ok(());
        };
        let app = self
            .plan
            .apps
            .iter()
            .find(|app| app.opens.contains(&failed.unit));
        let Some(app) = app else {
            return Ok(());
        };
        let listens = app.spec.ports().into_iter().map(|listen| listen.address);
        Err(Failure::NotOpen {
            name: app.name.clone(),
            addresses: listens.collect(),
            unit: failed.unit,
            result: failed.result,
        })
    }
}

/// The installed spec of an app, if it is readable.
#[must_use]
pub fn installed_spec(directory: &UnitDirectory, name: &AppName) -> Option<Spec> {
    Spec::load(&directory.spec_path(name)).ok()
}

#[cfg(test)]
mod tests;
