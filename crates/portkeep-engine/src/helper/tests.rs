//! Helpers against a manager that is a table, and a store of files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use portkeep_spec::Readiness;
use tempfile::TempDir;

use super::*;
use crate::backend::{Backend, BackendError, Blame, HandleState, JobResult, StartFailure};
use crate::error::EngineError;
use crate::generation::{Generation, Phase, Running};
use crate::handover::Unchanged;
use crate::moment::Moment;
use crate::release_command::ReleaseCommand;
use crate::settle::HandleReset;

/// A manager that starts what it is told to, unless the executable says `bad`.
#[derive(Debug, Default)]
struct Table(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    handle: Option<HandleState>,
    job: Option<u32>,
    installed: Option<PathBuf>,
    running: Vec<Running>,
    /// What is started next is another file by the time that it is READY.
    built_meanwhile: Option<(PathBuf, &'static str)>,
    starts_of_handle: u32,
    deploys: u32,
    looks: u32,
    /// Where `bad` is looked for.
    executables: Option<Store>,
}

impl Table {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Backend for Table {
    async fn start(
        &self,
        generation: Generation,
        _readiness: Readiness,
        _deadline: Instant,
    ) -> Result<Result<(), StartFailure>, BackendError> {
        let mut state = self.state();
        if let Some((path, text)) = state.built_meanwhile.take() {
            build(&path, text);
        }
        let store = state.executables.clone().unwrap();
        let text = fs::read_to_string(store.generation_executable(generation)).unwrap();
        if text.contains("bad") {
            return Ok(Err(StartFailure {
                blame: Blame::Release,
                ..StartFailure::by_circumstances("it exited")
            }));
        }
        state.running.push(Running {
            generation,
            phase: Phase::Serving,
        });
        Ok(Ok(()))
    }

    async fn run_release_command(
        &self,
        _: Generation,
        _: &ReleaseCommand,
    ) -> Result<Result<(), StartFailure>, BackendError> {
        Ok(Ok(()))
    }

    async fn end_release_command(&self, _: Generation) -> Result<(), BackendError> {
        Ok(())
    }

    async fn drain(&self, generation: Generation) -> Result<(), BackendError> {
        let mut state = self.state();
        state.running.retain(|one| one.generation != generation);
        Ok(())
    }

    async fn abandon(&self, generation: Generation) -> Result<(), BackendError> {
        self.drain(generation).await
    }

    async fn keep_trying(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn nobody_serves(&self) -> Result<HandleReset, BackendError> {
        Ok(HandleReset::NotUp)
    }

    async fn running(&self) -> Result<Vec<Running>, BackendError> {
        Ok(self.state().running.clone())
    }
}

impl HandleUnit for Table {
    async fn handle(&self) -> Result<HandleState, BackendError> {
        Ok(self.state().handle.unwrap_or(HandleState::Active))
    }

    async fn handle_job(&self) -> Result<Option<u32>, BackendError> {
        Ok(self.state().job)
    }

    async fn installed_spec(&self) -> Result<Option<PathBuf>, BackendError> {
        Ok(self.state().installed.clone())
    }

    async fn start_handle(&self) -> Result<JobResult, BackendError> {
        self.state().starts_of_handle += 1;
        Ok(JobResult::Done)
    }

    async fn reload_handle(&self) -> Result<(Option<u32>, JobResult), BackendError> {
        Ok((Some(7), JobResult::Other("failed".to_owned())))
    }

    async fn secrets_again(&self) -> Result<(), BackendError> {
        self.state().looks += 1;
        Ok(())
    }

    async fn deploy_again(&self) -> Result<(), BackendError> {
        self.state().deploys += 1;
        Ok(())
    }
}

struct Case {
    directory: TempDir,
    store: Store,
    manager: Table,
    told: Mutex<Vec<String>>,
}

impl Case {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::below(directory.path());
        let manager = Table::default();
        manager.state().executables = Some(store.clone());
        let case = Self {
            directory,
            store,
            manager,
            told: Mutex::default(),
        };
        case.spec("spec.json", "./app");
        case.build("v1");
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn spec(&self, name: &str, exec: &str) -> PathBuf {
        let path = self.path(name);
        // Not HTTP: then there is no holding page, which would be this test's own executable.
        let json = format!(
            r#"{{"name":"app","exec":["{exec}"],"listen":[{{"stream":"127.0.0.1:8080","protocol":"raw"}}]}}"#
        );
        fs::write(&path, json).unwrap();
        path
    }

    fn build(&self, text: &str) {
        build(&self.path("app"), text);
    }

    fn tell(&self) -> impl Fn(Progress<'_>) + Send + Sync + '_ {
        |news| {
            let told = match news {
                Progress::Begins { id, purpose } => format!("begins {id} {purpose}"),
                Progress::Ended(Outcome::HandedOver(record)) => {
                    format!("serves {}", record.generation.unwrap())
                }
                Progress::Ended(Outcome::Unchanged(_)) => "unchanged".to_owned(),
                Progress::Failed(_) => "failed".to_owned(),
                Progress::ServesOn(_) => "serves on".to_owned(),
                other => format!("{other:?}"),
            };
            self.told.lock().unwrap().push(told);
        }
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    async fn activate(&self) -> Result<(), HelperError> {
        let tell = self.tell();
        let helper = Helper::new(&self.manager, &self.store, tell);
        helper
            .activate(&self.path("spec.json"), Moment::now())
            .await
    }

    async fn reload(&self) -> Result<Outcome, HelperError> {
        let tell = self.tell();
        let helper = Helper::new(&self.manager, &self.store, tell);
        let spec = self.path("spec.json");
        helper.reload(&spec, Purpose::Reload, Moment::now()).await
    }
}

fn build(path: &Path, text: &str) {
    // Another file, as a linker makes it: the old one may be running.
    let _ = fs::remove_file(path);
    fs::write(path, format!("#!/bin/sh\n# {text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_handover_has_the_identity_of_the_job_that_asked_for_it() {
    let case = Case::new();
    case.manager.state().job = Some(12);
    case.activate().await.unwrap();
    assert_eq!(case.told(), ["begins job-12 activate", "serves 1"]);
    let history = case.store.history().unwrap();
    assert_eq!(history[0].id, HandoverId::of_job(12));
}

#[tokio::test]
async fn what_was_installed_meanwhile_is_handed_over_as_well() {
    let case = Case::new();
    build(&case.path("other"), "v2");
    let other = case.spec("other.json", "./other");
    case.manager.state().installed = Some(other.clone());
    case.activate().await.unwrap();
    assert_eq!(case.told()[1..], ["serves 1", "serves 2"]);
    assert_eq!(case.store.spec_path(), Some(other));
}

#[tokio::test]
async fn what_was_built_meanwhile_is_handed_over_as_well() {
    let case = Case::new();
    case.activate().await.unwrap();
    case.told();
    case.build("v2");
    case.manager.state().built_meanwhile = Some((case.path("app"), "v3"));
    let outcome = case.reload().await.unwrap();
    assert!(
        matches!(outcome, Outcome::HandedOver(record) if record.generation == Some(Generation(3)))
    );
    let told: Vec<_> = case
        .told()
        .into_iter()
        .filter(|one| one.starts_with("serves"))
        .collect();
    assert_eq!(told, ["serves 2", "serves 3"]);
}

#[tokio::test]
async fn a_release_that_does_not_start_may_be_mended_by_another() {
    let case = Case::new();
    case.activate().await.unwrap();
    case.told();
    case.build("bad");
    case.manager.state().built_meanwhile = Some((case.path("app"), "good"));
    case.reload().await.unwrap();
    let told: Vec<_> = case
        .told()
        .into_iter()
        .filter(|one| !one.starts_with("begins"))
        .collect();
    assert_eq!(told, ["failed", "serves 3"]);
}

#[tokio::test]
async fn a_restart_of_the_handle_succeeds_as_long_as_something_serves() {
    let case = Case::new();
    case.activate().await.unwrap();
    case.told();
    case.build("bad");
    case.activate().await.unwrap();
    assert_eq!(case.told().last().unwrap(), "serves on");
    // Where nothing does, it fails.
    case.manager.state().running.clear();
    case.store.clear_current().unwrap();
    fs::remove_file(case.path("app")).unwrap();
    fs::remove_dir_all(case.store.state_directory().join("releases")).unwrap();
    let error = case.activate().await.unwrap_err();
    assert!(error.is_of_the_release(), "{error}");
}

#[tokio::test]
async fn a_deploy_starts_an_app_that_does_not_run() {
    let case = Case::new();
    case.manager.state().handle = Some(HandleState::Inactive);
    let helper = Helper::new(&case.manager, &case.store, |_| {});
    let spec = case.path("spec.json");
    assert_eq!(helper.deploy(&spec, Moment::now()).await.unwrap(), None);
    assert_eq!(case.manager.state().starts_of_handle, 1);
    case.manager.state().handle = Some(HandleState::Active);
    let outcome = helper.deploy(&spec, Moment::now()).await.unwrap();
    assert!(
        matches!(outcome, Some(Outcome::HandedOver(_))),
        "{outcome:?}"
    );
    // Nothing changed since.
    helper.recheck(&spec).await.unwrap();
    assert_eq!(case.manager.state().deploys, 0);
    case.build("v2");
    helper.recheck(&spec).await.unwrap();
    assert_eq!(case.manager.state().deploys, 1);
}

#[tokio::test]
async fn a_person_is_told_what_is_not_installed() {
    let case = Case::new();
    case.manager.state().handle = Some(HandleState::Missing);
    let helper = Helper::new(&case.manager, &case.store, |_| {});
    let reload = helper.reload_by_name(Unchanged::IsDone, Moment::now());
    assert!(matches!(reload.await, Err(HelperError::NotInstalled(_))));
    assert!(matches!(
        helper.roll_back(None).await,
        Err(HelperError::NotInstalled(_))
    ));
}

#[tokio::test]
async fn a_roll_back_is_refused_before_anything_is_started() {
    let case = Case::new();
    case.manager.state().handle = Some(HandleState::Inactive);
    let helper = Helper::new(&case.manager, &case.store, |_| {});
    assert!(matches!(
        helper.roll_back(None).await,
        Err(HelperError::Rollback(_))
    ));
    assert_eq!(case.manager.state().starts_of_handle, 0);
}

#[tokio::test]
async fn a_roll_back_hands_over_to_the_release_before() {
    let case = Case::new();
    case.activate().await.unwrap();
    case.build("v2");
    case.reload().await.unwrap();
    let helper = Helper::new(&case.manager, &case.store, |_| {});
    let outcome = helper.roll_back(None).await.unwrap();
    assert!(matches!(outcome, Outcome::HandedOver(record) if record.purpose == Purpose::Rollback));
    let text = fs::read_to_string(case.store.generation_executable(Generation(3))).unwrap();
    assert!(text.contains("v1"), "{text}");
}

#[tokio::test]
async fn a_handle_that_does_not_start_fails_with_the_reason_of_its_helper() {
    let case = Case::new();
    case.manager.state().handle = Some(HandleState::Inactive);
    let helper = Helper::new(&case.manager, &case.store, |_| {});
    let reload = || helper.reload_by_name(Unchanged::IsDone, Moment::now());
    let error = reload().await.unwrap_err().to_string();
    assert!(
        error.ends_with("see `systemctl status app.service`"),
        "{error}"
    );
    // As the handle's own helper would, in that job.
    case.manager.state().job = Some(7);
    case.build("bad");
    case.activate().await.unwrap_err();
    let error = reload().await.unwrap_err().to_string();
    assert!(error.ends_with("it exited"), "{error}");
}

#[tokio::test]
async fn what_is_installed_serves_or_something_else_does() {
    let case = Case::new();
    let helper = Helper::new(&case.manager, &case.store, |_| {});
    let spec = case.path("spec.json");
    case.activate().await.unwrap();
    assert_eq!(helper.serves_instead(&spec).await.unwrap(), None);
    // Another one that describes the same is served; one that does not is not.
    let same = case.spec("same.json", "./app");
    assert_eq!(helper.serves_instead(&same).await.unwrap(), None);
    build(&case.path("other"), "v2");
    let other = case.spec("other.json", "./other");
    assert!(helper.serves_instead(&other).await.unwrap().is_some());
    case.manager.state().handle = Some(HandleState::Inactive);
    assert_eq!(helper.serves_instead(&other).await.unwrap(), None);
}

#[tokio::test]
async fn a_lock_that_is_held_is_so_for_every_spec() {
    let error = HelperError::from(EngineError::Closed);
    assert!(!error.is_of_the_release());
    assert!(HelperError::from(EngineError::Refused("missing".to_owned())).is_of_the_release());
}
