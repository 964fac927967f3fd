//! The `release` command: once for each new release, before it takes over, as the app; whatever it does, what serves serves on.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, AppBuilder, Behaviour, Manager, wait_until};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

/// What the release command writes to: lines in the file `log` of a directory that it may write to.
struct Notes(PathBuf);

impl Notes {
    fn of(name: &str) -> Self {
        let directory = Manager::of_this_process()
            .apps_directory()
            .join(format!("{name}-notes"));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("it can be made");
        fs::set_permissions(&directory, Permissions::from_mode(0o777)).expect("it can be opened");
        Self(directory)
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// An app whose release command is a shell script, which runs in the directory of the notes.
    fn app(&self, name: &str, script: &str) -> AppBuilder {
        App::named(name)
            .with("allow", json!({ "writablePaths": [self.0] }))
            .with("workingDirectory", json!(self.0))
            .with("release", json!(["/bin/sh", "-c", script]))
            .with("releaseTimeout", json!("10s"))
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_runs_once_for_each_new_release_as_the_app_does() {
    let notes = Notes::of("released");
    let secrets = notes.0.join("app.env");
    fs::write(&secrets, "FROM_FILE=hidden\n").expect("it can be written");
    let script = "echo \"$PORTKEEP_GENERATION $GREETING $FROM_FILE $(id -u) $(pwd) ${LISTEN_FDS:-none}\" >> log";
    let app = notes
        .app("released", script)
        .with("environment", json!({ "GREETING": "hello" }))
        .with("environmentFiles", json!([secrets]))
        .serve(&Behaviour::version("v1"));
    let pid = app.manager().property(&app.unit("@1.service"), "MainPID");
    let user = run("stat", ["-c", "%u", &format!("/proc/{pid}")]).expect_success();
    let line = |generation: u32| {
        let (user, place) = (user.stdout.trim(), notes.0.display());
        format!("{generation} hello hidden {user} {place} none")
    };
    assert_eq!(notes.lines(), [line(1)]);
    let watcher = app.watch();
    app.reload();
    let _ = app.portkeep("reload", &["--force"]).expect_success();
    assert_eq!(notes.lines(), [line(1)], "nothing is new");
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_version("v2", SOON);
    assert_eq!(notes.lines(), [line(1), line(3)]);
    let _ = app.portkeep("rollback", &[]).expect_success();
    app.wait_for_version("v1", SOON);
    let _ = app.systemctl("restart").expect_success();
    app.settled();
    let _ = app.portkeep("reload", &[]).expect_success();
    app.wait_for_version("v2", SOON);
    assert_eq!(notes.lines(), [line(1), line(3)], "all was released before");
    // Told when the unit is there, and looked for in the shown way.
    let told = app
        .portkeep("logs", &["--generation", "3"])
        .expect_success();
    told.expect_mention(&["release command"]);
    watcher.finish().expect_never_refused();
}

/// Serves v1 with a release command that succeeds, and hands over to v2 with one that does not.
fn fails(name: &str, script: &str, timeout: &str, reason: &[&str]) -> (App, Notes, Finished) {
    let notes = Notes::of(name);
    let script = format!("test ! -e fail || {{ {script}; }}");
    let app = notes
        .app(name, &script)
        .with("releaseTimeout", json!(timeout))
        .serve(&Behaviour::version("v1"));
    fs::write(notes.0.join("fail"), "").expect("it can be written");
    app.publish(&Behaviour::version("v2"));
    let watcher = app.watch();
    let _ = app.systemctl("reload").expect_failure();
    let again = app.portkeep("reload", &[]);
    assert_eq!(again.code, Some(1), "{again}");
    again.expect_mention(&["its release command failed"]);
    again.expect_mention(reason);
    let seen = watcher.finish();
    seen.expect_lossless();
    assert_eq!(seen.versions(), ["v1"]);
    assert_eq!(app.generations(), [app.unit("@1.service")]);
    app.portkeep("history", &[])
        .expect_mention(&["its release command failed"]);
    (app, notes, again)
}

#[test]
fn what_serves_serves_on_where_it_fails_and_a_person_may_try_again() {
    let script = "echo x >> log; echo there is no table; exit 3";
    let reason = ["it exited with status 3"];
    let (app, notes, told) = fails("unreleased", script, "10s", &reason);
    told.expect_mention(&["| there is no table"]);
    assert_eq!(notes.lines().len(), 2, "once for each that asked");
    fs::remove_file(notes.0.join("fail")).expect("it is there");
    app.reload();
    app.wait_for_version("v2", SOON);
}

#[test]
fn one_that_hangs_is_ended_at_its_deadline() {
    let reason = ["it did not end within 1s"];
    let script = "trap '' TERM; echo I hang; while :; do sleep 60; done";
    let (_app, _notes, told) = fails("release-hangs", script, "1s", &reason);
    told.expect_mention(&["| I hang"]);
}

#[test]
fn one_that_a_signal_ends_has_failed() {
    let reason = ["SEGV"];
    let _ = fails("release-segv", "kill -SEGV $$", "10s", &reason);
    let _ = fails("release-term", "kill -TERM $$", "10s", &["TERM"]);
}

#[test]
fn one_that_leaves_children_behind_has_ended_with_them() {
    let notes = Notes::of("release-forks");
    let script = "trap '' TERM; setsid sleep 98761 & sleep 98761 & echo done >> log";
    let app = notes
        .app("release-forks", script)
        .serve(&Behaviour::version("v1"));
    assert_eq!(notes.lines(), ["done"]);
    let left = run("pgrep", ["-f", "sleep 9876[1]"]);
    assert_eq!(left.code, Some(1), "none is left: {left}");
    drop(app);
}

#[test]
fn one_that_writes_a_hundred_megabytes_holds_nothing_up() {
    let notes = Notes::of("release-floods");
    let script = "test ! -e flood || head -c 100000000 /dev/zero | tr '\\0' x | fold -w 1000; echo done >> log";
    let app = notes
        .app("release-floods", script)
        .with("releaseTimeout", json!("60s"))
        .serve(&Behaviour::version("v1"));
    fs::write(notes.0.join("flood"), "").expect("it can be written");
    app.publish(&Behaviour::version("v2"));
    let watcher = app.watch();
    app.reload();
    app.wait_for_version("v2", SOON);
    watcher.finish().expect_lossless();
    assert_eq!(notes.lines(), ["done", "done"]);
}

#[test]
fn one_that_is_missing_is_named_and_nothing_is_started() {
    let notes = Notes::of("release-gone");
    let script = notes.0.join("migrate");
    fs::write(&script, "#!/bin/sh\necho ran >> log\n").expect("it can be written");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("it can be executed");
    let app = notes
        .app("release-gone", "")
        .with("release", json!([script]))
        .serve(&Behaviour::version("v1"));
    assert_eq!(notes.lines(), ["ran"]);
    let watcher = app.watch();
    app.publish(&Behaviour::version("v2"));
    fs::set_permissions(&script, Permissions::from_mode(0o644)).expect("its mode can be set");
    let told = app.portkeep("reload", &[]);
    assert_eq!(told.code, Some(1), "{told}");
    told.expect_mention(&["migrate is not executable"]);
    fs::remove_file(&script).expect("it is there");
    let told = app.portkeep("reload", &[]);
    assert_eq!(told.code, Some(1), "{told}");
    told.expect_mention(&["migrate does not exist"]);
    let seen = watcher.finish();
    seen.expect_lossless();
    assert_eq!(seen.versions(), ["v1"]);
    // Another one is another release.
    fs::write(&script, "#!/bin/sh\necho ran better >> log\n").expect("it can be written");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("it can be executed");
    app.reload();
    app.wait_for_version("v2", SOON);
    assert_eq!(notes.lines(), ["ran", "ran better"]);
}

#[test]
fn the_first_connection_waits_for_it() {
    let notes = Notes::of("release-first");
    let app = notes
        .app("release-first", "sleep 2; echo done >> log")
        .install(&Behaviour::version("v1"));
    let watcher = app.watch();
    app.wait_for_version("v1", SOON);
    assert_eq!(notes.lines(), ["done"]);
    app.settled();
    watcher.finish().expect_lossless();
}

/// Its unit runs on, and the next handover waits for it: there are never two at once.
#[test]
fn a_helper_that_is_killed_beside_it_leaves_no_second_one() {
    let notes = Notes::of("release-killed");
    let script = "mkdir one || echo two at once >> log; echo begun >> log; sleep 2; rmdir one; echo done >> log";
    let app = notes
        .app("release-killed", script)
        .serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    app.publish(&Behaviour::version("v2"));
    let reloading = thread::spawn({
        let (manager, unit) = (app.manager(), app.unit(".service"));
        move || manager.systemctl(&["reload", &unit])
    });
    wait_until("it runs", SOON, || (notes.lines().len() == 3).then_some(()));
    let handle = app.unit(".service");
    let helper = app.manager().property(&handle, "ControlPID");
    let _ = run("kill", ["-KILL", &helper]).expect_success();
    let _ = reloading.join().expect("it ends").expect_failure();
    app.reload();
    app.wait_for_version("v2", SOON);
    let lines = notes.lines();
    assert_eq!(lines, ["begun", "done"].repeat(3), "{lines:?}");
    watcher.finish().expect_lossless();
}

#[test]
fn a_helper_is_killed_before_and_behind_it() {
    let notes = Notes::of("release-steps");
    let app = notes
        .app("release-steps", "echo $PORTKEEP_GENERATION >> log")
        .serve(&Behaviour::version("v0"));
    let watcher = app.watch();
    for (number, step) in ["releasing", "released", "prepared"]
        .into_iter()
        .enumerate()
    {
        let version = format!("v{}", number + 1);
        app.publish(&Behaviour::version(&version));
        app.kill_helper_at(step);
        let _ = app.systemctl("reload").expect_failure();
        assert!(app.helper_was_killed(), "no helper came to `{step}`");
        app.reload();
        app.wait_for_version(&version, SOON);
        app.wait_for_only_one();
    }
    // Before it began, it ran once; before it was noted, twice; after that, once.
    assert_eq!(notes.lines().len(), 1 + 1 + 2 + 1, "{:?}", notes.lines());
    watcher.finish().expect_lossless();
}

/// Whoever stops the app wants nothing of it to run.
#[test]
fn a_stop_ends_it() {
    let notes = Notes::of("release-stopped");
    let app = notes
        .app("release-stopped", "echo begun >> log; sleep 98762")
        .install(&Behaviour::version("v1"));
    let asking = thread::spawn({
        let address = app.address();
        move || portkeep_tests::request(address, "/", SOON)
    });
    wait_until("it runs", SOON, || {
        (!notes.lines().is_empty()).then_some(())
    });
    let _ = app
        .manager()
        .systemctl(&["stop", &app.unit(".target")])
        .expect_success();
    wait_until("it has ended", SOON, || {
        (run("pgrep", ["-f", "sleep 9876[2]"]).code == Some(1)).then_some(())
    });
    let _ = asking.join().expect("it ends");
    assert_eq!(notes.lines(), ["begun"]);
}

/// The path unit does not try what has failed again and again.
#[test]
fn the_path_unit_tries_it_once() {
    if Manager::of_this_process() == Manager::System {
        // It gets no path unit.
        return;
    }
    let notes = Notes::of("release-watched");
    let app = notes
        .app(
            "release-watched",
            "echo $PORTKEEP_GENERATION >> log; test ! -e fail",
        )
        .watched()
        .serve(&Behaviour::version("v1"));
    fs::write(notes.0.join("fail"), "").expect("it can be written");
    let count = || notes.lines().len();
    app.publish(&Behaviour::version("v2"));
    wait_until("it is tried", SOON, || (count() == 2).then_some(()));
    for _ in 0..5 {
        // The same again: another event, the same release.
        app.publish(&Behaviour::version("v2"));
        thread::sleep(Duration::from_millis(200));
    }
    let tries = count();
    assert_eq!(tries, 2, "{:?}", notes.lines());
    fs::remove_file(notes.0.join("fail")).expect("it is there");
    app.reload();
    app.wait_for_version("v2", SOON);
}
