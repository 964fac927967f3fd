//! `portkeep install` adds an app and nothing else; `portkeep uninstall` undoes it.

use std::fs;
use std::mem;
use std::process::{Command, Stdio};
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager, Outcome, wait_until};
use serde_json::json;

const SOON: Duration = Duration::from_secs(60);

#[test]
fn uninstall_closes_the_port_and_leaves_no_unit() {
    let app = App::named("gone").install(&Behaviour::version("v1"));
    assert_eq!(app.get("/").version, "v1");
    let address = app.address();
    drop(app);

    let manager = Manager::of_this_process();
    let outcome = portkeep_tests::request(address, "/", Duration::from_secs(1));
    assert_eq!(outcome, Outcome::Refused);
    for verb in ["list-units", "list-unit-files"] {
        let listed = manager.systemctl(&[verb, "--all", "--no-legend", "gone*"]);
        assert_eq!(listed.stdout, "", "{verb}");
    }
}

#[test]
fn a_name_that_would_shadow_a_unit_of_somebody_else_is_refused() {
    // Both managers have a `smartcard.target`, which nobody misses here; an app called `reboot` would
    // keep the machine from rebooting.
    let manager = Manager::of_this_process();
    let fragment = || manager.property("smartcard.target", "FragmentPath");
    let before = fragment();
    let directory = tempfile::tempdir().unwrap();
    let spec = directory.path().join("portkeep.json");
    let json =
        r#"{"name":"smartcard","exec":["/bin/true"],"listen":[{"stream":"127.0.0.1:8080"}]}"#;
    std::fs::write(&spec, json).unwrap();
    let words = ["install", manager.flag(), "--spec", spec.to_str().unwrap()];
    let refused = run("portkeep", words);
    if refused.code == Some(0) {
        let _ = run("portkeep", ["uninstall", manager.flag(), "smartcard"]);
    }
    refused
        .expect_failure()
        .expect_mention(&["smartcard.target"]);
    assert_eq!(fragment(), before);
}

/// Its client would wait for longer than anybody waits for a command.
#[test]
fn an_uninstall_that_waits_for_a_drain_says_for_what_and_how_to_cut_it_short() {
    let app = App::named("patient")
        .with("drainTimeout", json!("1h"))
        .serve(&Behaviour::version("v1"));
    let slow = app.ask("/slow?ms=3600000");
    let said = app.directory().join("said");
    let flag = app.manager().flag();
    let mut uninstall = Command::new("portkeep")
        .args(["uninstall", flag, "patient"])
        .stderr(fs::File::create(&said).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let line = wait_until("it says what it waits for", SOON, || {
        assert_eq!(
            uninstall.try_wait().unwrap(),
            None,
            "nobody has cut it short"
        );
        let said = fs::read_to_string(&said).unwrap();
        said.ends_with('\n').then_some(said)
    });
    assert!(
        line.contains("patient@1.service") && line.contains("at most"),
        "{line}"
    );
    let remedy = line.split('`').nth(1).expect("a command");
    let _ = run("sh", ["-c", remedy]).expect_success();
    let ended = wait_until("it goes on", SOON, || uninstall.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    drop(slow);
    fs::remove_dir_all(app.directory()).unwrap();
    let manager = app.manager();
    // It is uninstalled.
    mem::forget(app);
    let listed = manager.systemctl(&["list-units", "--all", "--no-legend", "patient*"]);
    assert_eq!(listed.stdout, "");
}
