//! `portkeep install` adds an app and nothing else; `portkeep uninstall` undoes it.

use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager, Outcome};

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
