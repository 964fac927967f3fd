//! TLS that ends in the app, in the strict sandbox: certificate and key are credentials, and connections move.
//!
//! The app is the example of portkeep-s2n, which `tests/run tls-long` builds.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{Manager, wait_until};
use serde_json::json;

const NAME: &str = "hello-tls";
const RELOADS: usize = 5;
const SOON: Duration = Duration::from_secs(60);

struct Installed(Manager);

impl Installed {
    fn reload(&self) -> bool {
        let handle = format!("{NAME}.service");
        self.0.systemctl(&["reload", &handle]).code == Some(0)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = run("portkeep", ["uninstall", self.0.flag(), NAME]);
    }
}

/// Asks so often on one connection, if that does not end, and says which processes have answered and how many connections it took.
fn ask(address: &str, times: usize) -> Command {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--insecure",
        "--http1.1",
    ])
    .args([
        "--rate",
        "20/s",
        "--write-out",
        "%{stderr}%{num_connects}\n",
    ])
    .arg(format!("https://{address}/?[1-{times}]"))
    .stdout(Stdio::piped())
    .stderr(Stdio::piped());
    curl
}

fn place(directory: &Path, name: &str) {
    let path = directory.join(name);
    fs::copy(Path::new("/opt/portkeep/bin").join(name), &path).expect("it can be copied");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("it is ours");
}

#[test]
fn keys_are_credentials_and_connections_move_in_the_strict_sandbox() {
    let manager = Manager::of_this_process();
    let directory = manager.apps_directory().join(NAME);
    fs::create_dir_all(&directory).unwrap();
    for file in ["tls.crt", "tls.key"] {
        place(&directory, file);
    }
    let executable = directory.join(NAME);
    let publish = |number: usize| {
        // Each is another build: its last line is another one.
        let mut program = fs::read(Path::new("/opt/portkeep/bin").join(NAME)).unwrap();
        program.extend(format!("\nbuild {number}\n").as_bytes());
        let new = directory.join("new");
        fs::write(&new, program).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
        fs::rename(&new, &executable).unwrap();
    };
    publish(0);
    let address = "127.0.0.1:8443";
    let credential = |name: &str| directory.join(name).display().to_string();
    let spec = json!({
        "name": NAME,
        "exec": [executable],
        "listen": [{ "stream": address }],
        "sandbox": "strict",
        "credentials": { "tls.crt": credential("tls.crt"), "tls.key": credential("tls.key") },
    });
    let path = directory.join("portkeep.json");
    fs::write(&path, spec.to_string()).unwrap();
    let installed = Installed(manager);
    let path = path.to_string_lossy();
    let install = ["install", manager.flag(), "--now", "--spec", &path];
    let _ = run("portkeep", install).expect_success();

    let client = ask(address, 200).spawn().unwrap();
    for number in 1..=RELOADS {
        publish(number);
        assert!(installed.reload(), "{}", logs());
    }
    // The old ones serve on with what cannot be used any more, and it is told.
    fs::write(directory.join("tls.key"), "rubbish").unwrap();
    publish(RELOADS + 1);
    assert!(!installed.reload(), "it cannot serve with that key");
    wait_until("why is in the log", SOON, || {
        logs().contains("cannot be used together").then_some(())
    });
    let output = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", logs());
    let connects: u32 = said.lines().map(|line| line.parse::<u32>().unwrap()).sum();
    let answers = String::from_utf8_lossy(&output.stdout);
    let processes: BTreeSet<_> = answers.lines().collect();
    println!(
        "measured: TLS in the strict sandbox, {RELOADS} reloads and one that failed: {} answers of {} processes on {connects} connection",
        answers.lines().count(),
        processes.len(),
    );
    assert_eq!((answers.lines().count(), connects), (200, 1), "{}", logs());
    // It may have begun during a reload, not after all of them.
    assert!(processes.len() > 1, "{processes:?}");
}

fn logs() -> String {
    let manager = Manager::of_this_process();
    manager.journal(&format!("{NAME}@*.service")).stdout
}
