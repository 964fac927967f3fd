//! What many apps cost together: a reload of all at once beside a restart of plain units, and what the manager pays for units.
//!
//! The units are rendered once and copied under other names: how long an `install` takes is another question.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portkeep_tests::command::run;
use portkeep_tests::machine::expect_shorter;
use portkeep_tests::{Behaviour, Manager, Outcome, Publish, probe, request, wait_until};

const APPS: u16 = 100;
const MOST: u16 = 500;
/// The first port; the plain units have those behind them.
const PORT: u16 = 20_000;
const UNITS: &str = "/run/systemd/system";

#[test]
fn a_reload_of_all_costs_no_more_than_a_restart_of_plain_units() {
    let Some(crowd) = Crowd::place(APPS) else {
        return;
    };
    let plain = crowd.plain_units();
    crowd.start(&plain);
    crowd.start(&crowd.handles());
    crowd.expect_version(PORT, "v0");
    crowd.expect_version(PORT + MOST, "v0");
    let mut version = 0;
    let mut next = || {
        version += 1;
        crowd.publish(&format!("v{version}"));
        format!("v{version}")
    };
    let asked = next();
    let before = processor_time();
    let limit = crowd.systemctl("restart", &plain);
    let of_plain = processor_time() - before;
    crowd.expect_version(PORT + MOST, &asked);
    expect_shorter("a reload of all apps", limit, || {
        let asked = next();
        let before = processor_time();
        let took = crowd.systemctl("reload", &crowd.handles());
        crowd.wait_until_drained();
        let of_apps = processor_time() - before;
        crowd.expect_version(PORT, &asked);
        let told = |what: &str, apps: Duration, plain: Duration| {
            println!(
                "measured: {APPS} apps at once, {what}: reload {:.1} s; restart of as many plain units with the same sandbox {:.1} s; ratio {:.2}",
                apps.as_secs_f64(),
                plain.as_secs_f64(),
                apps.as_secs_f64() / plain.as_secs_f64()
            );
        };
        told("time", took, limit);
        told("time of processors", of_apps, of_plain);
        took
    });
}

#[test]
fn what_the_manager_pays_for_units() {
    for apps in [0, APPS, MOST] {
        let Some(_crowd) = Crowd::place(apps) else {
            return;
        };
        let start = Instant::now();
        let _ = run("systemctl", ["daemon-reload"]).expect_success();
        let took = start.elapsed();
        println!(
            "measured: {apps} idle apps: {} units loaded; PID 1 has {:.1} MB; a daemon-reload takes {:.0} ms",
            loaded(),
            memory_of_manager() as f64 / 1024.0,
            took.as_secs_f64() * 1e3
        );
    }
}

/// Apps that are there, with their ports open.
struct Crowd {
    apps: u16,
    directory: PathBuf,
    placed: Vec<PathBuf>,
}

impl Crowd {
    /// None in a user's manager, which cannot do the same sandbox: once is enough.
    fn place(apps: u16) -> Option<Self> {
        let manager = Manager::of_this_process();
        if manager == Manager::User {
            return None;
        }
        let directory = manager.apps_directory().join("crowd");
        fs::create_dir_all(&directory).expect("a directory");
        let mut crowd = Self {
            apps,
            directory,
            placed: Vec::new(),
        };
        crowd.publish("v0");
        let spec = crowd.directory.join("portkeep.json");
        let json = format!(
            r#"{{"name":"crowd-0","exec":["{}"],"listen":[{{"stream":"127.0.0.1:{PORT}"}}]}}"#,
            crowd.executable().display()
        );
        fs::write(&spec, json).expect("the spec can be written");
        let out = crowd.directory.join("units");
        let words = ["units", "--manager", "system", "--spec"].map(Path::new);
        let words = words
            .into_iter()
            .chain([spec.as_path(), Path::new("--out"), &out]);
        let _ = run("portkeep", words).expect_success();
        for number in 0..apps {
            for from in files(&out) {
                let below = from.strip_prefix(&out).expect("it is below");
                let text = fs::read_to_string(&from).expect("it can be read");
                crowd.write(&out, below, &text, number);
            }
        }
        let shared = Path::new("/checkout/systemd");
        for unit in ["portkeep.slice", "portkeep-shutdown.service"] {
            let text = fs::read_to_string(shared.join(unit)).expect("it can be read");
            crowd.write_unit(unit, &text);
        }
        let _ = run("systemctl", ["daemon-reload"]).expect_success();
        crowd.systemctl("start", &crowd.units("crowd-", ".socket"));
        Some(crowd)
    }

    /// A unit or the spec of the first app, for the app of a number.
    fn write(&mut self, out: &Path, below: &Path, text: &str, number: u16) {
        let of = |text: &str| {
            text.replace("crowd-0", &format!("crowd-{number}")).replace(
                &format!("127.0.0.1:{PORT}"),
                &format!("127.0.0.1:{}", PORT + number),
            )
        };
        let name = of(&below.to_string_lossy());
        match name.strip_prefix("lib/systemd/system/") {
            Some(unit) => self.write_unit(unit, &of(text)),
            None if number > 0 => fs::write(out.join(name), of(text)).expect("the spec"),
            None => {}
        }
    }

    fn write_unit(&mut self, unit: &str, text: &str) {
        let path = Path::new(UNITS).join(unit);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        fs::write(&path, text).expect("the unit can be written");
        self.placed.push(path);
    }

    /// As many units that a careful operator wrote by hand, with the sandbox of the apps.
    fn plain_units(&self) -> Vec<String> {
        let sandbox = Path::new(UNITS).join("crowd-0@.service.d/50-sandbox.conf");
        let sandbox = fs::read_to_string(sandbox).expect("it can be read");
        let sandbox: String = sandbox
            .lines()
            .filter(|line| !line.starts_with("X-"))
            .flat_map(|line| [line, "\n"])
            .collect();
        for number in 0..self.apps {
            let name = format!("plain-{number}");
            let service = format!(
                "[Service]\nType=notify\nNonBlocking=yes\nExecStart={}\n{}",
                self.executable().display(),
                sandbox.replace("crowd-0", &name).replace("[Service]\n", "")
            );
            let socket = format!(
                "[Socket]\nListenStream=127.0.0.1:{}\n",
                PORT + MOST + number
            );
            fs::write(Path::new(UNITS).join(format!("{name}.service")), service).expect("a unit");
            fs::write(Path::new(UNITS).join(format!("{name}.socket")), socket).expect("a unit");
        }
        let _ = run("systemctl", ["daemon-reload"]).expect_success();
        self.start(&self.units("plain-", ".socket"));
        self.units("plain-", ".service")
    }

    fn units(&self, before: &str, after: &str) -> Vec<String> {
        (0..self.apps)
            .map(|number| format!("{before}{number}{after}"))
            .collect()
    }

    fn handles(&self) -> Vec<String> {
        self.units("crowd-", ".service")
    }

    fn start(&self, units: &[String]) {
        self.systemctl("start", units);
    }

    /// How long a verb takes for all of these units in one call.
    fn systemctl(&self, verb: &str, units: &[String]) -> Duration {
        if units.is_empty() {
            return Duration::ZERO;
        }
        let words = [verb].into_iter().chain(units.iter().map(String::as_str));
        run("systemctl", words).expect_success().took
    }

    fn publish(&self, version: &str) {
        Publish::Rename
            .publish(&probe(), &self.directory, &Behaviour::version(version))
            .expect("it can be published");
        // A plain unit runs the file itself, as its own user.
        let executable = self.executable();
        let ours = executable
            .ancestors()
            .take_while(|path| path.starts_with(&self.directory));
        for path in ours {
            let everybody = fs::Permissions::from_mode(0o755);
            fs::set_permissions(path, everybody).expect("its mode can be set");
        }
    }

    fn executable(&self) -> PathBuf {
        self.directory.join(Publish::Rename.executable())
    }

    #[track_caller]
    fn expect_version(&self, first: u16, version: &str) {
        for port in first..first + self.apps {
            let address = ([127, 0, 0, 1], port).into();
            let outcome: Outcome = request(address, "/", Duration::from_secs(10));
            assert_eq!(outcome.version(), Some(version), "{port}: {outcome:?}");
        }
    }

    /// Until every old generation has ended and its end is settled: what is left would cost the next one.
    fn wait_until_drained(&self) {
        wait_until("nothing drains", Duration::from_secs(60), || {
            let list = [
                "list-units",
                "--no-legend",
                "--plain",
                "--state=activating,deactivating",
                "crowd-*",
            ];
            run("systemctl", list)
                .stdout
                .trim()
                .is_empty()
                .then_some(())
        });
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let targets = self.units("crowd-", ".target");
        let generations = ["crowd-*", "plain-*"].map(str::to_owned).to_vec();
        let _ = run(
            "systemctl",
            ["stop"]
                .into_iter()
                .chain(targets.iter().map(String::as_str)),
        );
        let _ = run(
            "systemctl",
            ["stop"]
                .into_iter()
                .chain(generations.iter().map(String::as_str)),
        );
        for path in &self.placed {
            let _ = fs::remove_file(path);
        }
        let _ = run(
            "bash",
            [
                "-c",
                "rm -rf /run/systemd/system/{crowd,plain}-* /var/lib/portkeep/crowd-* /run/portkeep/crowd-*",
            ],
        );
        let _ = fs::remove_dir_all(&self.directory);
        let _ = run("systemctl", ["daemon-reload"]);
        let _ = run("systemctl", ["reset-failed"]);
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it can be read").flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            path => vec![path],
        })
        .collect()
}

/// How many units the manager has loaded.
fn loaded() -> usize {
    let list = ["list-units", "--all", "--no-legend", "--plain"];
    run("systemctl", list)
        .expect_success()
        .stdout
        .lines()
        .count()
}

/// What all processes of the guest have had of the processors, which does not depend on who else wants them.
fn processor_time() -> Duration {
    let told = fs::read_to_string("/sys/fs/cgroup/cpu.stat").expect("it can be read");
    let used = told
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "));
    let used = used.and_then(|number| number.parse().ok());
    Duration::from_micros(used.expect("it has a number"))
}

/// Memory of PID 1 in KiB.
fn memory_of_manager() -> u64 {
    let status = fs::read_to_string("/proc/1/status").expect("PID 1 can be looked at");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.and_then(|line| line.split_whitespace().next());
    words
        .and_then(|number| number.parse().ok())
        .expect("it has memory")
}
