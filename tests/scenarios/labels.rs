//! What people call a release is told wherever releases are.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

fn install(app: &App, label: &str) -> Finished {
    let spec = app.directory().join("portkeep.json");
    let spec = spec.to_string_lossy();
    let flag = app.manager().flag();
    run(
        "portkeep",
        ["install", flag, "--spec", &spec, "--label", label],
    )
}

fn status(app: &App) -> Value {
    let told = app.portkeep("status", &["--json"]).expect_success();
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let current = told[0]["current"].clone();
    let generations = told[0]["generations"].as_array().unwrap();
    let current = generations.iter().find(|one| one["generation"] == current);
    current.unwrap_or_else(|| panic!("{told:#}")).clone()
}

#[test]
fn a_label_is_told_and_comes_back_with_its_release() {
    let app = App::named("labelled")
        .with("label", json!("rev-1"))
        .serve(&Behaviour::version("v1"));
    assert_eq!(status(&app)["label"], "rev-1");
    assert_eq!(app.history()[0]["label"], "rev-1");

    // The same build by another name is another release; the same one again is none.
    let _ = install(&app, "rev-2").expect_success();
    assert_eq!(status(&app)["label"], "rev-2");
    let generation = status(&app)["generation"].clone();
    let _ = install(&app, "rev-2").expect_success();
    assert_eq!(status(&app)["generation"], generation);
    app.portkeep("status", &[]).expect_mention(&["label rev-2"]);
    app.portkeep("history", &[]).expect_mention(&["[rev-2]"]);

    let _ = app.portkeep("rollback", &[]).expect_success();
    assert_eq!(status(&app)["label"], "rev-1");

    let reload = format!("portkeep reload {} labelled --force", app.manager().flag());
    let url = format!("http://{}/", app.address());
    let proven = run(
        "portkeep",
        [
            "prove",
            &url,
            "--reload",
            &reload,
            "--times",
            "1",
            "--rate",
            "20",
            "--connections",
            "2",
            "--app",
            "labelled",
            app.manager().flag(),
            "--json",
        ],
    );
    let proven: Value =
        serde_json::from_str(&proven.stdout).unwrap_or_else(|error| panic!("{error}: {proven}"));
    let releases = proven["releases"].as_array().unwrap();
    assert!(!releases.is_empty(), "{proven:#}");
    assert!(
        releases.iter().all(|one| one["label"].is_string()),
        "{proven:#}"
    );
}

#[test]
fn a_label_of_two_lines_changes_nothing() {
    let app = App::named("one-line").serve(&Behaviour::version("v1"));
    let before = app.history().len();
    let refused = install(&app, "one\ntwo");
    assert_eq!(refused.code, Some(2), "{refused}");
    refused.expect_mention(&["line break"]);
    assert_eq!(app.history().len(), before);
    app.wait_for_version("v1", SOON);
}
