//! Two apps behind a real HAProxy that tries nothing twice: each is drained, ended and put back under load, and nobody notices.
//! `tests/run fleet` does the same with machines.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portkeep_tests::{App, Behaviour, Outcome, request, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
/// Where the suite puts what the host's Debian has of it.
const HAPROXY: &str = "/opt/portkeep/bin/haproxy.d";
const FRONT: &str = "127.0.0.1:8000";
const STATISTICS: &str = "127.0.0.1:8001";

/// One of the two.
struct Host {
    app: App,
    address: SocketAddr,
}

impl Host {
    fn serve(name: &str, port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let app = App::named(name)
            .with("listen", json!([{ "stream": address.to_string() }]))
            .with("health", json!(format!("127.0.0.1:{}", port + 10)))
            .with("linger", json!("500ms"))
            .install(&Behaviour::version(name));
        let host = Self { app, address };
        wait_until("it serves", SOON, || {
            (host.ask().version() == Some(name)).then_some(())
        });
        host.app.settled();
        host
    }

    fn ask(&self) -> Outcome {
        request(self.address, "/", Duration::from_secs(10))
    }

    /// As a reboot would: nothing is left of it, and its port is closed.
    fn goes_and_comes(&self) {
        let manager = self.app.manager();
        let (target, handle) = (self.app.unit(".target"), self.app.unit(".service"));
        let generations = self.app.unit("@*.service");
        let stop = ["stop", &target, &handle, &generations];
        let _ = manager.systemctl(&stop).expect_success();
        wait_until("its port is closed", SOON, || {
            (self.ask() == Outcome::Refused).then_some(())
        });
        let _ = manager.systemctl(&["start", &target]).expect_success();
    }
}

/// A process that goes with this.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{command:?}: {error}")),
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn configuration(hosts: &[Host]) -> String {
    let servers: String = hosts
        .iter()
        .map(|host| {
            let (name, address) = (host.app.unit(""), host.address);
            format!(
                "  server {name} {address} check port {}\n",
                address.port() + 10
            )
        })
        .collect();
    format!(
        "defaults\n  mode http\n  retries 0\n  no option redispatch\n  timeout connect 10s\n  timeout check 10s\n  \
         timeout client 30s\n  timeout server 30s\n\
         frontend shop\n  bind {FRONT}\n  default_backend shop\n\
         frontend statistics\n  bind {STATISTICS}\n  stats enable\n  stats uri /\n\
         backend shop\n  option httpchk GET /readyz\n  http-check expect status 200\n  \
         default-server inter 100ms fall 1 rise 2\n{servers}"
    )
}

/// What HAProxy thinks of a server: `UP`, `DOWN` and more.
fn opinion(name: &str) -> Option<String> {
    let told = Command::new("curl")
        .args([
            "--silent",
            "--max-time",
            "10",
            &format!("http://{STATISTICS}/;csv"),
        ])
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&told.stdout).into_owned();
    let mut lines = table.lines();
    let names = lines.next()?.trim_start_matches("# ").split(',');
    let column = names.into_iter().position(|name| name == "status")?;
    let line = lines.find(|line| line.starts_with(&format!("shop,{name},")))?;
    line.split(',').nth(column).map(str::to_owned)
}

fn wait_for_opinion(name: &str, wanted: &str) {
    wait_until(
        &format!("HAProxy says that {name} is {wanted}"),
        SOON,
        || opinion(name)?.starts_with(wanted).then_some(()),
    );
}

/// Requests through HAProxy on connections that are kept, until `done` is there.
fn load(done: &Path) -> Process {
    let until = format!("until test -e '{}'; do sleep 0.1; done", done.display());
    let url = format!("http://{FRONT}/");
    Process::start(
        Command::new("portkeep")
            .args([
                "prove",
                &url,
                "--rate",
                "100",
                "--connections",
                "10",
                "--times",
                "1",
            ])
            .args([
                "--every",
                "1s",
                "--reload",
                &until,
                "--version-header",
                "x-version",
                "--json",
            ])
            .stdout(Stdio::piped()),
    )
}

#[test]
fn each_of_two_apps_is_drained_ended_and_put_back_under_load() {
    let hosts = [Host::serve("left", 8080), Host::serve("right", 8082)];
    let directory = hosts[0].app.directory();
    let file = directory.join("haproxy.cfg");
    fs::write(&file, configuration(&hosts)).unwrap();
    let haproxy = |options: &[&str]| {
        let mut command = Command::new(format!("{HAPROXY}/haproxy"));
        command.env("LD_LIBRARY_PATH", HAPROXY);
        command.args(options).arg("-f").arg(&file);
        command
    };
    let checked = haproxy(&["-c", "-q"]).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
    // What it says of each change would stand in the middle of the test's line.
    let _haproxy = Process::start(
        haproxy(&["-db"])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    for host in &hosts {
        wait_for_opinion(&host.app.unit(""), "UP");
    }
    let done = directory.join("done");
    let mut load = load(&done);
    for host in &hosts {
        let name = host.app.unit("");
        let drained = host.app.portkeep("drain", &["--grace", "1s"]);
        let _ = drained.expect_success();
        wait_for_opinion(&name, "DOWN");
        let drained = host
            .app
            .portkeep("drain", &["--wait", "--json"])
            .expect_success();
        let drained: Value = serde_json::from_str(&drained.stdout).unwrap();
        assert_eq!(drained["connections"], 0, "{drained:#}");
        host.goes_and_comes();
        // It serves again, and is out as before.
        wait_until("it serves again", SOON, || {
            (host.ask().version() == Some(&name)).then_some(())
        });
        assert!(opinion(&name).unwrap().starts_with("DOWN"));
        let _ = host.app.portkeep("undrain", &[]).expect_success();
        wait_for_opinion(&name, "UP");
    }
    fs::write(&done, "").unwrap();
    let output = std::mem::take(&mut load.0.stdout).unwrap();
    let seen: Value = serde_json::from_reader(output).unwrap();
    assert_eq!(seen["failed"], 0, "{seen:#}");
    assert!(seen["requests"].as_u64().unwrap() > 300, "{seen:#}");
    let versions = seen["versions"].as_array().unwrap();
    for host in &hosts {
        let name = host.app.unit("");
        assert!(
            versions.iter().any(|one| one["version"] == name),
            "{seen:#}"
        );
    }
}
