//! Specs that `install` refuses: with the field and the remedy, at once, and with nothing changed.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour, Manager};
use serde_json::{Map, Value, json};

/// Installs a spec that is not good, and looks that no unit of it stays.
#[track_caller]
fn refused(name: &str, spec: &Path) -> Finished {
    let manager = Manager::of_this_process();
    // Nobody waits for a file that never ends.
    let words = [
        "20",
        "portkeep",
        "install",
        manager.flag(),
        "--spec",
        spec.to_str().unwrap(),
    ];
    let refused = run("timeout", words);
    if refused.code == Some(0) {
        let _ = run("portkeep", ["uninstall", manager.flag(), name]);
    }
    assert_eq!(refused.code, Some(2), "{refused}");
    let marked = manager.systemctl(&["cat", &format!("{name}.service"), &format!("{name}.socket")]);
    assert!(!marked.stdout.contains("X-Portkeep-App"), "{marked}");
    refused
}

#[track_caller]
fn refused_with(name: &str, fields: Value) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("portkeep.json");
    let mut spec =
        json!({ "name": name, "exec": ["/bin/true"], "listen": [{ "stream": "127.0.0.1:8080" }] });
    spec.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    fs::write(&file, spec.to_string()).unwrap();
    refused(name, &file)
}

#[test]
fn without_a_sandbox_somebody_has_to_be_named() {
    let manager = Manager::of_this_process();
    if manager == Manager::System {
        refused_with("anybody", json!({ "sandbox": "off" }))
            .expect_mention(&["allow.user", "root"]);
    }
    refused_with(
        "anybody",
        json!({ "sandbox": "off", "allow": { "user": "dev", "network": "any" } }),
    )
    .expect_mention(&["allow.network", "sandbox"]);

    let app = App::named("somebody")
        .with("sandbox", json!("off"))
        .with("allow", json!({ "user": "dev" }))
        .serve(&Behaviour::version("v1"));
    let pid = manager.property(&app.unit("@1.service"), "MainPID");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t1000\t1000\t1000\t1000"), "{status}");
}

#[test]
fn a_directory_of_somebody_else_is_not_taken() {
    let manager = Manager::of_this_process();
    let state = json!({ "allow": { "stateDirectory": true, "cacheDirectory": true } });
    for name in ["dpkg", "systemd", "apt", "sudo", "private"] {
        refused_with(name, state.clone()).expect_mention(&[
            "allow.stateDirectory",
            name,
            "rename the app",
        ]);
    }
    refused_with("portkeep", json!({})).expect_mention(&["portkeep's own files"]);
    // The manager of each user is an instance of it.
    if manager == Manager::System {
        refused_with("user", json!({})).expect_mention(&["user@.service"]);
        // Nobody's list has this one.
        let theirs = Path::new("/var/lib/theirs");
        fs::create_dir_all(theirs.join("data")).unwrap();
        refused_with("theirs", state.clone()).expect_mention(&["/var/lib/theirs", "root"]);
        fs::remove_dir_all(theirs).unwrap();
        // What the app was given is its own: after another install, and after it was removed.
        for _ in 0..2 {
            let app = App::named("mine")
                .with("allow", json!({ "stateDirectory": true }))
                .serve(&Behaviour::version("v1"));
            let written = app.get("/try/write?path=/var/lib/mine").body;
            assert_eq!(written, "ok");
            fs::write("/var/lib/mine/kept", "kept").unwrap();
            let spec = app.directory().join("portkeep.json");
            let words = ["install", manager.flag(), "--spec", spec.to_str().unwrap()];
            let _ = run("portkeep", words).expect_success();
        }
        assert_eq!(fs::read_to_string("/var/lib/mine/kept").unwrap(), "kept");
        fs::remove_file("/var/lib/mine").unwrap();
        fs::remove_dir_all("/var/lib/private/mine").unwrap();
    }
}

#[test]
fn a_spec_is_a_small_file_with_each_key_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("portkeep.json");
    let fifo = directory.path().join("fifo");
    let _ = run("mkfifo", [&fifo]).expect_success();
    refused("none", &fifo).expect_mention(&["a FIFO", fifo.to_str().unwrap()]);
    refused("none", Path::new("/dev/zero")).expect_mention(&["a device", "/dev/zero"]);
    let _ = run("truncate", ["--size=100M", path.to_str().unwrap()]).expect_success();
    refused("none", &path).expect_mention(&["longer than 1048576 bytes", path.to_str().unwrap()]);
    let twice = r#"{"name":"none","exec":["/bin/true"],"listen":[{"stream":"127.0.0.1:8080"}],
        "environment":{"TOKEN":"a","TOKEN":"b"}}"#;
    fs::write(&path, twice).unwrap();
    refused("none", &path).expect_mention(&["environment.TOKEN", "twice", "line 2 column"]);
}

#[test]
fn ten_thousand_variables_are_none_too_many() {
    let many: Map<String, Value> = (0..10_000)
        .map(|one| (format!("VARIABLE_{one}"), json!(format!("value {one}"))))
        .collect();
    let app = App::named("many")
        .with("environment", many.into())
        .serve(&Behaviour::version("v1"));
    assert_eq!(app.get("/env/VARIABLE_9999").body, "\"value 9999\"");
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_version("v2", Duration::from_secs(10));
}
