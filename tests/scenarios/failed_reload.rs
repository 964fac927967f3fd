//! A build that cannot serve never replaces one that does.

use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour, Mode};
use serde_json::json;

/// Serves v1, disturbs it, and expects that the reload fails, gives the reason, and nobody notices.
fn refused(name: &str, disturb: impl FnOnce(&App), reason: &[&str]) {
    let app = App::named(name)
        .with("startTimeout", json!("3s"))
        .serve(&Behaviour::version("v1"));

    let watcher = app.watch();
    disturb(&app);
    let _ = app.systemctl("reload").expect_failure();
    let told = app.portkeep("reload", &[]).expect_failure();
    told.expect_mention(reason);
    assert_eq!(
        told.code,
        Some(1),
        "1 means failed, nothing changed: {told}"
    );
    logged(&app).expect_mention(reason);
    let seen = watcher.finish();

    seen.expect_lossless();
    assert_eq!(seen.versions(), ["v1"]);
    assert_eq!(app.generations(), [app.unit("@1.service")]);
    assert_eq!(
        app.manager().property(&app.unit(".service"), "ActiveState"),
        "active"
    );

    // And the next good build is not held back by the bad one.
    app.publish(&Behaviour::version("v3"));
    app.reload();
    app.wait_for_version("v3", Duration::from_secs(10));
}

/// What `systemctl status` and `journalctl` show a person who looks after the failed reload.
fn logged(app: &App) -> Finished {
    let unit = app.unit(".service");
    let mut status =
        app.manager()
            .systemctl(&["status", "--no-pager", "--full", "--lines=50", &unit]);
    // On a busy machine journald may ask for the unit of a line when the helper that wrote it has ended, and then knows none.
    // The line is in the journal all the same, by its name.
    let journal = ["--no-pager", "--identifier=portkeep", "--lines=50"];
    let of_this_app = format!("]: {}: ", app.unit(""));
    for line in run("journalctl", journal).stdout.lines() {
        if line.contains(&of_this_app) {
            status.stdout.push_str(line);
        }
    }
    status
}

#[test]
fn a_build_that_exits_at_once() {
    let bad = Behaviour::version("v2").mode(Mode::Exit);
    refused(
        "exits",
        |app| app.publish(&bad),
        &["status 3", "code 3", "exit"],
    );
}

#[test]
fn a_build_that_crashes_before_ready() {
    let bad = Behaviour::version("v2").mode(Mode::SegvBeforeReady);
    refused(
        "crashes",
        |app| app.publish(&bad),
        &["SEGV", "signal 11", "core dump"],
    );
}

#[test]
fn a_build_that_is_never_ready() {
    let bad = Behaviour::version("v2").mode(Mode::NeverReady);
    refused(
        "never-ready",
        |app| app.publish(&bad),
        &["READY", "timeout", "timed out"],
    );
}

#[test]
fn a_build_that_is_missing() {
    refused(
        "missing",
        App::remove_executable,
        &["not found", "missing", "no such file", "does not exist"],
    );
}
