//! An app gets another name, and its port stays open.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::mem;
use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour, Manager, Mode, Outcome, Watcher, request, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

/// The spec of `app` under another name, and with other fields.
fn renamed(app: &App, name: &str, fields: &[(&str, Value)]) -> String {
    let spec = app.directory().join("portkeep.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(spec).unwrap()).unwrap();
    spec["name"] = json!(name);
    spec["exec"] = json!([app.executable()]);
    for (field, value) in fields {
        spec[*field] = value.clone();
    }
    let path = app.directory().join(format!("{name}.json"));
    fs::write(&path, spec.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn replace(manager: Manager, old: &str, spec: &str) -> Finished {
    run(
        "portkeep",
        ["install", manager.flag(), "--replaces", old, spec],
    )
}

fn units_of(manager: Manager, name: &str) -> String {
    let listed = |verb: &str| {
        let pattern = format!("{name}*");
        manager
            .systemctl(&[verb, "--all", "--no-legend", &pattern])
            .stdout
    };
    listed("list-units") + &listed("list-unit-files")
}

/// The manager forgets a unit that has ended when it next has nothing else to do.
fn expect_no_units(manager: Manager, name: &str) {
    wait_until(&format!("no unit of {name} is left"), SOON, || {
        units_of(manager, name).is_empty().then_some(())
    });
}

fn rename(is_started: bool) {
    let manager = Manager::of_this_process();
    let app = match is_started {
        true => App::named("before").serve(&Behaviour::version("v1")),
        false => App::named("before").install(&Behaviour::version("v1")),
    };
    let spec = renamed(&app, "after", &[]);
    if is_started {
        app.publish(&Behaviour::version("v2"));
    }
    let watcher = is_started.then(|| app.watch());
    let done = replace(manager, "before", &spec);
    if done.code != Some(0) {
        let _ = run("portkeep", ["uninstall", manager.flag(), "after"]);
    }
    let _ = done.expect_success();
    let expected = if is_started { "v2" } else { "v1" };
    let seen = watcher.map(Watcher::finish);
    if let Some(seen) = seen {
        seen.expect_lossless();
    }
    assert_eq!(app.get("/").version, expected);
    expect_no_units(manager, "before");
    assert!(
        manager.state_directory().join("before").exists(),
        "history is kept"
    );
    // It is an app like any other: it hands over, comes back after a look at the files, and can be uninstalled.
    let watcher = app.watch();
    app.publish(&Behaviour::version("v3"));
    let _ = manager
        .systemctl(&["reload", "after.service"])
        .expect_success();
    let _ = manager.systemctl(&["daemon-reload"]).expect_success();
    app.wait_for_version("v3", SOON);
    watcher.finish().expect_lossless();
    let _ = run("portkeep", ["uninstall", manager.flag(), "after"]).expect_success();
    assert_eq!(request(app.address(), "/", SOON), Outcome::Refused);
    expect_no_units(manager, "after");
    let _ = fs::remove_dir_all(manager.state_directory().join("before"));
    let _ = fs::remove_dir_all(app.directory());
    // It has no units that it could remove any more.
    mem::forget(app);
}

#[test]
fn an_app_that_runs_is_renamed_without_a_refused_connection() {
    rename(true);
}

#[test]
fn an_app_that_waits_for_its_first_connection_is_renamed() {
    rename(false);
}

#[test]
fn another_port_or_a_version_that_does_not_start_changes_nothing() {
    let manager = Manager::of_this_process();
    let app = App::named("stays").serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    let before = units_of(manager, "stays");
    let other_port = json!([{ "stream": "127.0.0.1:8081" }]);
    let spec = renamed(&app, "instead", &[("listen", other_port)]);
    let refused = replace(manager, "stays", &spec);
    assert_eq!(refused.code, Some(2), "{refused}");
    refused.expect_mention(&["stays listens at 127.0.0.1:8080"]);
    expect_no_units(manager, "instead");

    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    let spec = renamed(&app, "instead", &[]);
    let failed = replace(manager, "stays", &spec);
    assert_eq!(failed.code, Some(1), "{failed}");
    expect_no_units(manager, "instead");
    assert_eq!(units_of(manager, "stays"), before);
    assert_eq!(manager.property("stays.socket", "Id"), "stays.socket");
    // Without the option, it says how.
    let refused = run("portkeep", ["install", manager.flag(), &spec]);
    assert_eq!(refused.code, Some(1), "{refused}");
    refused.expect_mention(&["--replaces stays"]);

    app.publish(&Behaviour::version("v3"));
    app.reload();
    app.wait_for_version("v3", SOON);
    watcher.finish().expect_lossless();
}
