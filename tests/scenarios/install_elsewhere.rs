//! A user's manager that looks for units elsewhere than the shell would: `XDG_CONFIG_HOME` is set for it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{Manager, OtherUser, wait_until};

const SOON: Duration = Duration::from_secs(30);

struct Elsewhere {
    user: OtherUser,
    runtime: String,
}

impl Elsewhere {
    /// A user whose manager has `XDG_CONFIG_HOME`, which none of the user's shells has.
    fn new() -> Self {
        let user = OtherUser::named("elsewhere");
        let number = run("id", ["-u", user.name()]).expect_success().stdout;
        let number = number.trim();
        let settings = format!("/etc/systemd/system/user@{number}.service.d");
        fs::create_dir_all(&settings).unwrap();
        let text = "[Service]\nEnvironment=XDG_CONFIG_HOME=/home/elsewhere/conf\n";
        fs::write(Path::new(&settings).join("config.conf"), text).unwrap();
        let _ = Manager::System
            .systemctl(&["daemon-reload"])
            .expect_success();
        let _ = run("loginctl", ["enable-linger", user.name()]).expect_success();
        let unit = format!("user@{number}.service");
        let _ = Manager::System
            .systemctl(&["restart", &unit])
            .expect_success();
        let runtime = format!("/run/user/{number}");
        wait_until("its bus is there", SOON, || {
            Path::new(&runtime).join("bus").exists().then_some(())
        });
        Self { user, runtime }
    }

    fn run(&self, words: &[&str]) -> Finished {
        let home = "HOME=/home/elsewhere";
        let runtime = format!("XDG_RUNTIME_DIR={}", self.runtime);
        let runuser = [
            "-u",
            self.user.name(),
            "--",
            "env",
            "-u",
            "XDG_CONFIG_HOME",
            home,
            &runtime,
        ];
        run("runuser", [&runuser, words].concat())
    }
}

#[test]
fn units_are_placed_and_removed_where_the_manager_looks() {
    if Manager::of_this_process() == Manager::User {
        // Only root can set the environment of a manager.
        return;
    }
    let there = Elsewhere::new();
    let spec = "/home/elsewhere/roaming.json";
    let json = r#"{"name":"roaming","exec":["/bin/true"],"listen":[{"stream":"127.0.0.1:8180"}]}"#;
    fs::write(spec, json).unwrap();
    let _ = there
        .run(&["portkeep", "install", "--user", "--now", spec])
        .expect_success();
    let units = Path::new("/home/elsewhere/conf/systemd/user");
    assert!(units.join("roaming.socket").exists());
    assert!(Path::new("/home/elsewhere/conf/portkeep/roaming.json").exists());
    assert!(!Path::new("/home/elsewhere/.config/systemd/user/roaming.socket").exists());
    let listed = there
        .run(&["portkeep", "status", "--user"])
        .expect_success();
    listed.expect_mention(&["roaming"]);
    // The remedy of what is found is to install again.
    let socket = units.join("roaming.socket");
    let text = fs::read_to_string(&socket).unwrap();
    fs::write(&socket, text.replace("Backlog=", "Backlog=1")).unwrap();
    let doctor = || there.run(&["portkeep", "doctor", "--user", "--json", "roaming"]);
    let finds = |doctor: &Finished| doctor.stdout.contains("roaming.socket");
    let found = doctor();
    assert!(finds(&found), "{found}");
    let _ = there
        .run(&["portkeep", "install", "--user", spec])
        .expect_success();
    let found = doctor();
    assert!(!finds(&found), "{found}");
    // What a version before left where the manager does not look, and is not loaded.
    let left = Path::new("/home/elsewhere/.config/systemd/user");
    fs::create_dir_all(left).unwrap();
    fs::copy(&socket, left.join("roaming.socket")).unwrap();
    there.user.owns(Path::new("/home/elsewhere/.config"));
    let _ = there
        .run(&["portkeep", "uninstall", "--user", "roaming"])
        .expect_success();
    for directory in [units, left] {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let ours: Vec<_> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(|name| name.contains("roaming"))
            .collect();
        assert_eq!(ours, Vec::<String>::new(), "{}", directory.display());
    }
    let state = there.run(&["systemctl", "--user", "is-active", "roaming.socket"]);
    assert_eq!(state.stdout.trim(), "inactive");
    let _ = run("loginctl", ["disable-linger", there.user.name()]);
}
