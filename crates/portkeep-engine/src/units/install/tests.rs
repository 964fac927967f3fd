//! An install is carried out as a whole or not at all, whichever step fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use portkeep_spec::Manager as Which;
use tempfile::TempDir;

use super::*;
use crate::backend::BackendError;
use crate::backend::systemd::{Ended, UnitState};
use crate::generation::Generation;
use crate::units::manager::NotHandedOver;

/// A manager that starts and stops what it is told to, and fails at one call.
#[derive(Debug, Default)]
struct Fake {
    active: Mutex<BTreeSet<String>>,
    /// What apps serve.
    serves: Mutex<BTreeMap<String, Digest>>,
    /// All calls so far.
    calls: Mutex<Vec<String>>,
    /// Which call fails; only once, so that what is taken back does not.
    fails_at: Option<usize>,
}

impl Fake {
    fn call(&self, what: String) -> Result<(), BackendError> {
        let mut calls = self.calls.lock().unwrap();
        calls.push(what.clone());
        match self.fails_at == Some(calls.len()) {
            true => Err(BackendError::new(what, "as the test wants it")),
            false => Ok(()),
        }
    }

    fn ended(units: &[String]) -> Vec<Ended> {
        let done = |unit: &String| Ended {
            unit: unit.clone(),
            result: JobResult::Done,
        };
        units.iter().map(done).collect()
    }
}

impl UnitManager for Fake {
    fn which(&self) -> Which {
        Which::User
    }

    async fn read_files(&self) -> Result<(), BackendError> {
        self.call("read".to_owned())
    }

    async fn loaded(&self, _: &[String]) -> Result<Vec<(String, UnitState)>, BackendError> {
        Ok(Vec::new())
    }

    async fn start_all(&self, units: &[String]) -> Result<Vec<Ended>, BackendError> {
        if !units.is_empty() {
            self.call(format!("start {}", units.join(" ")))?;
        }
        self.active.lock().unwrap().extend(units.iter().cloned());
        Ok(Self::ended(units))
    }

    async fn stop_all(&self, units: &[String]) -> Result<Vec<Ended>, BackendError> {
        if !units.is_empty() {
            self.call(format!("stop {}", units.join(" ")))?;
        }
        let mut active = self.active.lock().unwrap();
        active.retain(|unit| !units.contains(unit));
        Ok(Self::ended(units))
    }

    async fn forget_failures(&self, _: &[String]) -> Result<(), BackendError> {
        Ok(())
    }

    fn serving(&self, name: &AppName) -> Option<Digest> {
        self.serves.lock().unwrap().get(name.as_str()).cloned()
    }

    async fn hand_over(
        &self,
        spec: &Spec,
        _: Handover,
    ) -> Result<Result<Outcome, NotHandedOver>, BackendError> {
        let name = &spec.name;
        if let Err(error) = self.call(format!("hand over {name}")) {
            let reason = error.doing;
            return Ok(Err(NotHandedOver { reason }));
        }
        let mut serves = self.serves.lock().unwrap();
        serves.insert(name.to_string(), digest("new"));
        Ok(Ok(Outcome::Unchanged(Generation(2))))
    }

    async fn hand_back(&self, spec: &Spec, release: Digest) -> Result<(), BackendError> {
        self.call(format!("hand back {}", spec.name))?;
        let mut serves = self.serves.lock().unwrap();
        serves.insert(spec.name.to_string(), release);
        Ok(())
    }
}

fn digest(text: &str) -> Digest {
    let hex = blake3::hash(text.as_bytes()).to_hex().to_string();
    serde_json::from_value(serde_json::Value::String(hex)).unwrap()
}

struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(machine.units()).unwrap();
        machine
    }

    fn units(&self) -> PathBuf {
        self.root.path().join("config/systemd/user")
    }

    fn install<'a>(&self, manager: &'a Fake, specs: &[(&str, u16)]) -> Install<'a, Fake> {
        let asked: Vec<_> = specs
            .iter()
            .map(|(name, port)| {
                let text = format!(
                    r#"{{"name":"{name}","exec":["/bin/a"],"listen":[{{"stream":"127.0.0.1:{port}"}}]}}"#
                );
                Asked {
                    source: format!("{name}.json").into(),
                    spec: Spec::from_json(&text).unwrap(),
                }
            })
            .collect();
        let mut program = tempfile::tempfile().unwrap();
        program.write_all(b"#!/bin/sh\nexit 0\n").unwrap();
        let all = Directories {
            run: self.root.path().join("run"),
            state: self.root.path().join("state"),
        };
        let helper = Helper::of(&all.state, program, "1.0").unwrap();
        let unit_path = [self.units()];
        let directory = UnitDirectory::lasting(Which::User, &unit_path).unwrap();
        let active = manager.active.lock().unwrap().clone();
        let survey = Survey::of(Which::User, directory.clone(), &unit_path, active).unwrap();
        let options = Options {
            open: true,
            ..Options::default()
        };
        let plan = plan(&survey.facts(helper.path()), &asked, &options).unwrap();
        Install {
            manager,
            survey,
            directory,
            all,
            plan,
            helper,
            _lock: None,
        }
    }

    /// Names, contents, inodes and times of all files.
    fn state(&self) -> Vec<String> {
        files_below(self.root.path())
    }
}

fn files_below(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        if metadata.is_dir() {
            found.push(path.display().to_string());
            found.extend(files_below(&path));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let (inode, time) = (metadata.ino(), metadata.mtime_nsec());
        found.push(format!("{} {text:?} {inode} {time}", path.display()));
    }
    found.sort();
    found
}

static NEVER: AtomicBool = AtomicBool::new(false);

#[tokio::test]
async fn what_succeeds_is_complete() {
    let (machine, manager) = (Machine::new(), Fake::default());
    let install = machine.install(&manager, &[("a", 80), ("b", 81)]);
    let installed = install.carry_out(&NEVER).await.unwrap();
    assert!(installed.leftovers.is_empty());
    assert_eq!(installed.apps.len(), 2);
    let calls = manager.calls.lock().unwrap().clone();
    assert_eq!(
        calls,
        [
            "read",
            "start a.socket a-move.socket b.socket b-move.socket"
        ],
        "one look at the files for both"
    );
    let helpers = fs::read_dir(machine.root.path().join("state/.helper")).unwrap();
    assert_eq!(helpers.count(), 1);
}

#[tokio::test]
async fn whatever_step_fails_everything_is_as_before() {
    for fails_at in 1.. {
        let machine = Machine::new();
        let first = Fake::default();
        let install = machine.install(&first, &[("old", 80), ("other", 82)]);
        install.carry_out(&NEVER).await.unwrap();
        // Somebody has changed a file since.
        let changed = machine.units().join("old.target");
        let text = fs::read_to_string(&changed).unwrap();
        fs::write(&changed, format!("{text}# mine\n")).unwrap();
        let mut active = first.active.lock().unwrap().clone();
        active.extend(["old.service", "other.service"].map(str::to_owned));
        let serves = ["old", "other"].map(|name| (name.to_owned(), digest("before")));
        let manager = Fake {
            active: Mutex::new(active.clone()),
            serves: Mutex::new(serves.clone().into()),
            fails_at: Some(fails_at),
            ..Fake::default()
        };
        let before = machine.state();
        let install = machine.install(&manager, &[("old", 80), ("new", 81), ("other", 82)]);
        let result = install.carry_out(&NEVER).await;
        let calls = manager.calls.lock().unwrap().clone();
        if calls.len() < fails_at {
            result.unwrap();
            assert!(fails_at > 4, "{calls:?}");
            return;
        }
        let error = result.unwrap_err().to_string();
        assert!(error.contains("everything was taken back"), "{error}");
        assert_eq!(machine.state(), before, "after {calls:?}");
        assert_eq!(*manager.active.lock().unwrap(), active, "after {calls:?}");
        assert_eq!(
            *manager.serves.lock().unwrap(),
            serves.into(),
            "after {calls:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_takes_the_others_back() {
    let (machine, manager) = (Machine::new(), Fake::default());
    let install = machine.install(&manager, &[("a", 80)]);
    // A directory where a file is to be.
    fs::create_dir(machine.units().join("a@.service")).unwrap();
    let before = machine.state();
    let error = install.carry_out(&NEVER).await.unwrap_err().to_string();
    assert!(error.contains("a@.service"), "{error}");
    assert_eq!(machine.state(), before);
    assert!(manager.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_interrupts_it_finds_everything_as_before() {
    let (machine, manager) = (Machine::new(), Fake::default());
    let install = machine.install(&manager, &[("a", 80)]);
    let before = machine.state();
    let error = install.carry_out(&AtomicBool::new(true)).await.unwrap_err();
    assert!(error.to_string().starts_with("interrupted"), "{error}");
    assert_eq!(machine.state(), before);
}

#[tokio::test]
async fn the_copy_of_the_version_before_goes_with_its_units() {
    let (machine, manager) = (Machine::new(), Fake::default());
    let copy = machine.root.path().join("state/a/portkeep");
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::write(&copy, "as the version before made it").unwrap();
    let install = machine.install(&manager, &[("a", 80)]);
    install.carry_out(&NEVER).await.unwrap();
    assert!(!copy.exists());
}

#[tokio::test]
async fn what_a_killed_install_left_goes_with_the_next() {
    let (machine, manager) = (Machine::new(), Fake::default());
    let install = machine.install(&manager, &[("a", 80)]);
    // No process has such a number.
    let left = machine.units().join(".a.socket.2147483646.x7Yq");
    let of_others = machine.units().join(".mine.socket.2147483646.x7Yq");
    let of_a_process = machine
        .units()
        .join(format!(".a.socket.{}.x7Yq", std::process::id()));
    for file in [&left, &of_others, &of_a_process] {
        fs::write(file, "").unwrap();
    }
    install.carry_out(&NEVER).await.unwrap();
    assert!(!left.exists());
    assert!(of_others.exists() && of_a_process.exists());
}
