//! Without the units of portkeep: a `.socket` and a `.service` written by hand, and `portkeep dev`.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portkeep_tests::{Behaviour, Manager, Publish, Watcher, probe, request, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const SOON: Duration = Duration::from_secs(10);

/// A pair of units, and the directory of its program.
struct Pair {
    manager: Manager,
    units: PathBuf,
    directory: PathBuf,
}

impl Pair {
    fn start() -> Self {
        let manager = Manager::of_this_process();
        let units = match manager {
            Manager::System => PathBuf::from("/run"),
            Manager::User => PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").unwrap()),
        }
        .join("systemd")
        .join(match manager {
            Manager::System => "system",
            Manager::User => "user",
        });
        let pair = Self {
            manager,
            units,
            directory: manager.apps_directory().join("pair"),
        };
        fs::create_dir_all(&pair.units).unwrap();
        fs::create_dir_all(&pair.directory).unwrap();
        Publish::Rename
            .publish(&probe(), &pair.directory, &Behaviour::version("v1"))
            .unwrap();
        let program = pair.directory.join(Publish::Rename.executable());
        let socket = format!("[Socket]\nListenStream={ADDRESS}\n");
        let service = format!("[Service]\nType=notify\nExecStart={}\n", program.display());
        fs::write(pair.units.join("pair.socket"), socket).unwrap();
        fs::write(pair.units.join("pair.service"), service).unwrap();
        let _ = manager.systemctl(&["daemon-reload"]).expect_success();
        let _ = manager
            .systemctl(&["start", "pair.socket"])
            .expect_success();
        pair
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self
            .manager
            .systemctl(&["stop", "pair.socket", "pair.service"]);
        for unit in ["pair.socket", "pair.service"] {
            let _ = fs::remove_file(self.units.join(unit));
        }
        let _ = self.manager.systemctl(&["daemon-reload"]);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// It has a blocking socket without a name of its own choice, is restarted and not handed over: who
/// connects meanwhile waits.
#[test]
fn a_socket_and_a_service_written_by_hand() {
    let pair = Pair::start();
    assert_eq!(request(ADDRESS, "/", SOON).version(), Some("v1"));
    let watcher = Watcher::start(ADDRESS, Duration::from_millis(5), SOON);
    for _ in 0..3 {
        let restarted = pair.manager.systemctl(&["restart", "pair.service"]);
        let _ = restarted.expect_success();
    }
    watcher.finish().expect_lossless();
    let status = pair.manager.property("pair.service", "StatusText");
    assert!(status.starts_with("serving on"), "{status}");
}

/// Of a user who develops, so it needs a user's manager.
#[test]
fn dev_with_systemd() {
    let project = Manager::User.apps_directory().join("in-dev");
    fs::create_dir_all(&project).unwrap();
    let way = Publish::Rename;
    way.publish(&probe(), &project, &Behaviour::version("v1"))
        .unwrap();
    let spec = json!({
        "name": "in-dev",
        "exec": [format!("./{}", way.executable())],
        "watch": way.watched(),
        "listen": [{ "stream": ADDRESS.to_string() }],
    });
    fs::write(project.join("portkeep.json"), spec.to_string()).unwrap();
    let log = File::create(project.join("log")).unwrap();
    let mut dev = Dev(Command::new("portkeep")
        .args(["dev", "--backend", "systemd", "--project"])
        .arg(&project)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap());
    let answers = |version: &str| {
        wait_until(&format!("{version} answers"), SOON, || {
            (request(ADDRESS, "/", SOON).version() == Some(version)).then_some(())
        });
    };
    answers("v1");
    let watcher = Watcher::start(ADDRESS, Duration::from_millis(5), SOON);
    way.publish(&probe(), &project, &Behaviour::version("v2"))
        .unwrap();
    answers("v2");
    watcher.finish().expect_lossless();
    kill_process(Pid::from_child(&dev.0), Signal::INT).unwrap();
    let status = wait_until("it ends", SOON, || dev.0.try_wait().unwrap());
    let said = fs::read_to_string(project.join("log")).unwrap();
    assert!(status.success(), "{said}");
    assert!(said.contains("user manager"), "{said}");
    fs::remove_dir_all(&project).unwrap();
}

struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
            let _ = self.0.wait();
        }
    }
}
