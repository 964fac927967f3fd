//! Units that nix built, installed as a switch would install them, and disturbed.
//!
//! `releases.nix` has put the directories to install below `/srv/releases`, one for each version.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::command::run;
use portkeep_tests::{Connections, Load, Manager, Outcome, request, wait_until};

const RELEASES: &str = "/srv/releases";
const ANSWER: Duration = Duration::from_secs(10);

/// The unit directory of a manager, with one release's units in it.
struct Installed {
    manager: Manager,
    directory: PathBuf,
    name: &'static str,
    links: Vec<PathBuf>,
}

impl Installed {
    fn new(name: &'static str) -> Self {
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

    /// What a switch does: the units are replaced, systemd reads them, the sockets are started; a changed handle that is
    /// active is reloaded. Answers whether the reload succeeded.
    fn switch_to(&mut self, release: &str) -> bool {
        let before = self.handle_text();
        self.place(&Path::new(RELEASES).join(release));
        self.systemctl(&["daemon-reload"]);
        let handle = format!("{}.service", self.name);
        // The app answers a moment before its handle is done, and a reload waits for that.
        let active = wait_until("the handle is at rest", ANSWER, || {
            let state = self.manager.property(&handle, "ActiveState");
            (state != "activating").then(|| state == "active")
        });
        let mut reloaded = true;
        if active && before != self.handle_text() {
            reloaded = self.manager.systemctl(&["reload", &handle]).code == Some(0);
        }
        let opens = match self.manager {
            Manager::System => "sockets.target",
            Manager::User => "default.target",
        };
        self.systemctl(&["start", opens]);
        reloaded
    }

    fn handle_text(&self) -> Option<String> {
        fs::read_to_string(self.directory.join(format!("{}.service", self.name))).ok()
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

    fn systemctl(&self, words: &[&str]) {
        let _ = self.manager.systemctl(words).expect_success();
    }

    fn property(&self, unit: &str, property: &str) -> String {
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
        let units = [".socket", "-move.socket", ".service"];
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

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn version() -> String {
    request(address(), "/", ANSWER).expect_answer().version
}

mod system {
    use super::*;

    #[test]
    fn a_switch_is_a_handover_and_nothing_is_lost() {
        let mut app = Installed::new("nixed");
        app.switch_to("v1");
        assert_eq!(app.property(".service", "ActiveState"), "inactive");
        assert_eq!(version(), "v1", "the first connection starts it");
        let opened = app.property(".socket", "ActiveEnterTimestampMonotonic");

        for connections in [Connections::KeepAlive, Connections::OnePerRequest] {
            let mut load = Load::new(address(), Duration::from_secs(12), connections).start();
            let start = Instant::now();
            for (number, release) in (1..).zip(["v2", "v3", "v4", "v5", "v1"]) {
                thread::sleep(
                    (start + Duration::from_secs(2) * number)
                        .saturating_duration_since(Instant::now()),
                );
                assert!(app.switch_to(release), "the switch to {release} failed");
                wait_until("the new release answers", Duration::from_secs(1), || {
                    (version() == release).then_some(())
                });
            }
            assert!(load.is_running(), "the load ended by itself");
            let report = load.finish();
            println!(
                "measured: 5 switches, {connections:?}: {} requests, {} failed, slowest {:?}",
                report.requests, report.failed, report.slowest
            );
            report.expect_lossless(1000);
        }
        assert_eq!(
            app.property(".socket", "ActiveEnterTimestampMonotonic"),
            opened
        );
    }

    #[test]
    fn a_release_that_does_not_start_fails_the_switch_and_the_old_one_serves_on() {
        let mut app = Installed::new("nixed");
        app.switch_to("v1");
        assert_eq!(version(), "v1");
        assert!(!app.switch_to("broken"));
        assert_eq!(version(), "v1");
        assert_eq!(app.property(".service", "ActiveState"), "active");
        assert!(app.switch_to("v2"));
        assert_eq!(version(), "v2");
    }

    #[test]
    fn the_spec_reaches_the_app() {
        let mut app = Installed::new("nixed");
        app.switch_to("v1");
        let variable = request(address(), "/env/RELEASE", ANSWER).expect_answer();
        assert_eq!(variable.body, "\"v1\"");
        let arguments = request(address(), "/args", ANSWER).expect_answer();
        assert_eq!(arguments.body, "[\"--release\",\"v1\"]");
    }

    #[test]
    fn kept_releases_survive_a_garbage_collection() {
        let mut app = Installed::new("nixed");
        for release in ["v3", "v4", "v5"] {
            app.switch_to(release);
            assert_eq!(version(), release);
        }
        // keepGenerations is 2.
        let roots = run("nix-store", ["--gc", "--print-roots"])
            .expect_success()
            .stdout;
        let rooted = |release: &str| {
            let path = format!("-probe-{release}");
            let ours = |line: &&str| {
                line.starts_with("/var/lib/portkeep/nixed/gcroots/") && line.contains(&path)
            };
            roots.lines().find(ours).is_some()
        };
        assert!(rooted("v5") && rooted("v4"), "{roots}");
        assert!(!rooted("v3"), "{roots}");
    }

    #[test]
    fn other_addresses_are_told_before_the_switch() {
        let mut app = Installed::new("nixed");
        app.switch_to("v1");
        let check = |verb: &str, release: &str| {
            let new = format!("{RELEASES}/{release}");
            let words = [
                "/checkout/nix/changed-listen.sh",
                verb,
                "system",
                "/etc/systemd/system",
                &new,
                "nixed",
                "another",
            ];
            run("bash", words)
        };
        let _ = check("check", "v2").expect_success();
        check("check", "moved").expect_failure().expect_mention(&[
            "nixed.socket ListenStream=127.0.0.1:8080",
            "nixed.socket ListenStream=127.0.0.1:9090",
            "systemctl stop nixed.target",
            "services.portkeep.apps.nixed.restartSocket = true;",
        ]);
        // It only told.
        assert_eq!(version(), "v1");

        let _ = check("stop", "moved").expect_success();
        assert_eq!(request(address(), "/", ANSWER), Outcome::Refused);
        app.switch_to("moved");
        let moved = SocketAddr::from(([127, 0, 0, 1], 9090));
        assert_eq!(request(moved, "/", ANSWER).expect_answer().version, "v2");
        // Closed, it may change; the sockets close after the generations have drained.
        app.systemctl(&["stop", "nixed.target"]);
        wait_until("the port is closed", ANSWER, || {
            (check("check", "v1").code == Some(0)).then_some(())
        });
    }

    #[test]
    fn a_removed_app_closes_its_port_and_leaves_nothing_running() {
        let mut app = Installed::new("nixed");
        app.switch_to("v1");
        assert_eq!(version(), "v1");
        // A switch stops what was removed unit by unit, in any order, and goes on where a unit refuses.
        for unit in [".socket", "@1.service", ".service", ".target"] {
            let _ = app.manager.systemctl(&["stop", &format!("nixed{unit}")]);
        }
        let running = ["list-units", "--no-legend", "--state=active", "nixed*"];
        wait_until("nothing runs", ANSWER, || {
            let left = app.manager.systemctl(&running).stdout;
            left.is_empty().then_some(())
        });
        assert_eq!(request(address(), "/", ANSWER), Outcome::Refused);
    }
}

mod user {
    use super::*;

    use portkeep_tests::stamp::stamp;
    use portkeep_tests::{Behaviour, probe};

    #[test]
    fn the_path_unit_hands_over_to_a_new_build() {
        let directory = Path::new("/home/dev/apps/watched");
        fs::create_dir_all(directory).unwrap();
        let publish = |version: &str| {
            let target = directory.join("probe");
            let staged = directory.join("staged");
            stamp(&probe(), &staged, &Behaviour::version(version)).unwrap();
            fs::rename(staged, target).unwrap();
        };
        publish("v1");
        let mut app = Installed::new("watched");
        app.switch_to("watched");
        app.systemctl(&["start", "watched.path"]);
        assert_eq!(version(), "v1");
        for release in ["v2", "v3"] {
            publish(release);
            wait_until("the new build answers", ANSWER, || {
                (version() == release).then_some(())
            });
        }
    }
}

/// Run last, because little of what the others need is left.
mod collected {
    use super::*;

    #[test]
    fn what_a_rollback_needs_survives_a_garbage_collection() {
        let mut app = Installed::new("nixed");
        let mut programs = Vec::new();
        for release in ["v3", "v4", "v5"] {
            app.switch_to(release);
            assert_eq!(version(), release);
            programs.push(program(&app));
        }
        // As the profile of a machine does it, for the units that are installed now. Nothing else is kept for tests.
        let installed = fs::canonicalize(Path::new(RELEASES).join("v5")).unwrap();
        let root = "/srv/installed";
        let words = ["--realise", "--add-root", root, installed.to_str().unwrap()];
        let _ = run("nix-store", words).expect_success();
        fs::remove_file(RELEASES).unwrap();

        let _ = run("nix-store", ["--gc"]).expect_success();
        let is_there: Vec<bool> = programs.iter().map(|program| program.exists()).collect();
        // keepGenerations is 2, and what runs is one of them.
        assert_eq!(is_there, [false, true, true], "{programs:?}");
        assert_eq!(version(), "v5");
        let _ = run("portkeep", ["rollback", app.name]).expect_success();
        assert_eq!(version(), "v4");
    }

    /// What the current generation executes.
    fn program(app: &Installed) -> PathBuf {
        let active = ["list-units", "--plain", "--no-legend", "--state=active"];
        let units = app
            .manager
            .systemctl(&[&active[..], &["nixed@*.service"]].concat());
        let unit = units.stdout.split_whitespace().next().unwrap().to_owned();
        let process = app.manager.property(&unit, "MainPID");
        fs::read_link(format!("/proc/{process}/exe")).unwrap()
    }
}
