//! Nothing of portkeep's runs in a generation, where what the app may write would steer it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use portkeep_tests::{App, Behaviour, Manager};
use serde_json::json;

const SOON: Duration = Duration::from_secs(15);

/// The dynamic linker obeys what an environment file says, in each process that systemd gives that file to. Here it is told to
/// write what it does: a file for each process, which belongs to the user of that process.
#[test]
fn the_apps_environment_files_steer_no_process_but_the_app() {
    let manager = Manager::of_this_process();
    if manager == Manager::User {
        // There all processes are one user's.
        return;
    }
    let traces = manager.apps_directory().join("traces");
    let _ = fs::remove_dir_all(&traces);
    fs::create_dir_all(&traces).expect("it can be made");
    fs::set_permissions(&traces, Permissions::from_mode(0o777)).expect("it can be opened");
    let file = manager.apps_directory().join("steering.env");
    let steer = format!(
        "LD_DEBUG=libs\nLD_DEBUG_OUTPUT={}\nDBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere\n\
         PATH=/nowhere\nMANAGERPID=1\n",
        traces.join("trace").display()
    );
    fs::write(&file, steer).expect("it can be written");
    let app = App::named("steered")
        .with("environmentFiles", json!([file]))
        .with("allow", json!({ "writablePaths": [traces] }))
        .with("restart", json!({ "delay": "20ms", "rollbackAfter": 2 }))
        .serve(&Behaviour::version("v1"));
    // Every kind of end: a crash, a hand over, too many crashes, and what ends in a page.
    app.kill_and_wait("@1.service", "KILL");
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_only(&app.unit("@2.service"), SOON);
    app.kill_and_wait("@2.service", "KILL");
    app.signal("@2.service", "KILL");
    app.wait_for_version("v1", SOON);
    let traced: Vec<_> = fs::read_dir(&traces)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read"))
        .collect();
    assert!(!traced.is_empty(), "the app itself left no trace");
    for entry in traced {
        let owner = entry.metadata().expect("it is there").uid();
        let text = fs::read_to_string(entry.path()).expect("it can be read");
        assert_ne!(owner, 0, "root obeyed the app: {text}");
    }
}

#[test]
fn a_generation_has_no_command_but_its_own() {
    let app = App::named("plain-unit").serve(&Behaviour::version("v1"));
    let text = app
        .manager()
        .systemctl(&["cat", "--no-pager", &app.unit("@1.service")])
        .expect_success()
        .stdout;
    let commands: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("Exec"))
        .collect();
    assert_eq!(commands.len(), 1, "{commands:?}");
    assert!(!commands[0].contains('+'), "{commands:?}");
    // What is executed is nobody's but the manager's own.
    let release = fs::metadata(app.run_directory().join("generations/1").join("plain-unit"));
    let owner = release.expect("it is there").uid();
    assert_eq!(owner, rustix::process::geteuid().as_raw());
}
