//! A build that cannot serve never replaces one that does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour, Manager, Mode};
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

/// The lines before the end are those that tell why: they are there, whatever else was written. A user's manager cannot have the
/// journal take more of one unit at once than its default (`RateLimitBurst=`, 10,000 lines).
#[test]
fn the_last_of_many_lines_are_shown() {
    let lines = match Manager::of_this_process() {
        Manager::System => 200_000,
        Manager::User => 9_000,
    };
    let app = App::named("chatty").serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2").mode(Mode::ExitAfterLines { lines }));
    let told = app.portkeep("reload", &[]).expect_failure();
    told.expect_mention(&[&format!("probe: line {lines}.")]);
    // Some of them: what is kept of a reason is bounded.
    let shown = told
        .stderr
        .lines()
        .filter(|line| line.contains("probe: line"));
    assert!(shown.count() <= 8, "{told}");
    assert!(told.took < Duration::from_secs(45), "{told}");
}

/// The wrapper was passed the sockets, and what it started was not. It stays for a moment: the journal of a user's manager does not
/// know whose a line is that comes from a process that has ended.
#[test]
fn a_script_that_does_not_exec_is_named() {
    let app = App::named("wrapped")
        .with("exec", json!(["./start.sh"]))
        .with("restart", json!({ "delay": "20ms" }));
    let directory = Manager::of_this_process().apps_directory().join("wrapped");
    fs::create_dir_all(&directory).expect("it can be made");
    let script = directory.join("start.sh");
    let program = directory.join("probe-app").display().to_string();
    let write = |text: String| {
        fs::write(&script, text).expect("it can be written");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it can be set");
    };
    write(format!("#!/bin/sh\n'{program}'\nsleep 0.5\nexit 1\n"));
    let app = app.install(&Behaviour::version("v1"));
    fs::copy(app.executable(), &program).expect("it can be copied");
    app.wait_for_status(503, Duration::from_secs(20));
    let told = app.portkeep("reload", &[]).expect_failure();
    told.expect_mention(&["does not `exec`"]);
    write(format!("#!/bin/sh\nexec '{program}'\n"));
    app.wait_for_version("v1", Duration::from_secs(10));
}
