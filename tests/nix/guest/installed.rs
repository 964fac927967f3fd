//! Units in the directory of a manager, and what a switch does with them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use portkeep_tests::Manager;

use crate::{ANSWER, RELEASES};

/// The unit directory of a manager, with one release's units in it.
pub(crate) struct Installed {
    pub(crate) manager: Manager,
    pub(crate) directory: PathBuf,
    pub(crate) name: &'static str,
    links: Vec<PathBuf>,
}

impl Installed {
    pub(crate) fn new(name: &'static str) -> Self {
        let manager = Manager::of_this_process();
        let directory = match manager {
            Manager::System => PathBuf::from("/etc/systemd/system"),
            Manager::User => {
                Path::new(&std::env::var_os("HOME").unwrap()).join(".config/systemd/user")
            }
        };
        Self {
            manager,
            directory,
            name,
            links: Vec::new(),
        }
    }

    /// What a switch does, by the rules in `switch/nixos.rs`: units that go are stopped, the files are replaced, systemd
    /// reads them; a changed handle is reloaded, whatever it is doing; all targets are started. Answers whether it succeeded.
    pub(crate) fn switch_to(&mut self, release: &str) -> bool {
        let handle = format!("{}.service", self.name);
        let new = Path::new(RELEASES).join(release);
        let text = |directory: &Path| fs::read_to_string(directory.join(&handle)).ok();
        let is_compared = matches!(
            &*self.manager.property(&handle, "ActiveState"),
            "active" | "activating"
        );
        let is_reloaded = is_compared && text(&self.directory) != text(&new);
        for link in &self.links {
            let unit = link.file_name().unwrap();
            if link.parent() == Some(&self.directory) && !new.join(unit).exists() {
                // A template is no unit, and a unit may refuse.
                let _ = self.manager.systemctl(&["stop", unit.to_str().unwrap()]);
            }
        }
        self.place(&new);
        self.systemctl(&["reset-failed"]);
        self.systemctl(&["daemon-reload"]);
        let mut failed = false;
        if is_reloaded {
            let runs = matches!(
                &*self.manager.property(&handle, "ActiveState"),
                "active" | "activating"
            );
            let verb = if runs { "reload" } else { "start" };
            failed |= self.manager.systemctl(&[verb, &handle]).code != Some(0);
        }
        failed |= self.start_targets();
        !failed && self.failed_units().is_empty()
    }

    /// All that are active; answers whether a job has failed.
    fn start_targets(&self) -> bool {
        let words = [
            "list-units",
            "--type=target",
            "--state=active",
            "--plain",
            "--no-legend",
        ];
        let listed = self.manager.systemctl(&words).expect_success().stdout;
        let targets = listed
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|target| self.manager.property(target, "RefuseManualStart") == "no");
        let words: Vec<_> = std::iter::once("start").chain(targets).collect();
        self.manager.systemctl(&words).code != Some(0)
    }

    pub(crate) fn failed_units(&self) -> String {
        let ours = format!("*{}*", self.name);
        let words = [
            "list-units",
            "--state=failed",
            "--plain",
            "--no-legend",
            &ours,
        ];
        self.manager.systemctl(&words).expect_success().stdout
    }

    fn place(&mut self, units: &Path) {
        for link in self.links.drain(..) {
            fs::remove_file(&link).unwrap();
        }
        for entry in fs::read_dir(units).unwrap() {
            let unit = entry.unwrap().path();
            let link = self.directory.join(unit.file_name().unwrap());
            let is_wants = link.extension().is_some_and(|ending| ending == "wants");
            fs::create_dir_all(if is_wants { &link } else { &self.directory }).unwrap();
            if is_wants {
                for wanted in fs::read_dir(&unit).unwrap() {
                    let wanted = wanted.unwrap().path();
                    let link = link.join(wanted.file_name().unwrap());
                    symlink(fs::read_link(&wanted).unwrap(), &link).unwrap();
                    self.links.push(link);
                }
            } else {
                symlink(fs::canonicalize(&unit).unwrap(), &link).unwrap();
                self.links.push(link);
            }
        }
    }

    pub(crate) fn systemctl(&self, words: &[&str]) {
        let _ = self.manager.systemctl(words).expect_success();
    }

    pub(crate) fn property(&self, unit: &str, property: &str) -> String {
        self.manager
            .property(&format!("{}{unit}", self.name), property)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        if thread::panicking() {
            println!(
                "{}",
                self.manager.journal(&format!("{}*", self.name)).stdout
            );
        }
        // An error here would hide the one that the test failed with.
        let _ = self
            .manager
            .systemctl(&["stop", &format!("{}.target", self.name)]);
        // The stop of a target does not wait for what it pulls down, and the next test has the same names.
        let end = Instant::now() + ANSWER;
        let units = [".socket", "-move.socket", ".service", "-holding.service"];
        let down =
            |unit: &&str| matches!(&*self.property(unit, "ActiveState"), "inactive" | "failed");
        while !units.iter().all(down) && Instant::now() < end {
            thread::yield_now();
        }
        for link in self.links.drain(..) {
            let _ = fs::remove_file(link);
        }
        let _ = self.manager.systemctl(&["daemon-reload"]);
    }
}
