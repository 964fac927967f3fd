//! Files go away, or cannot be written, while an app serves.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour, Manager, Observation, wait_until};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn the_runtime_directory() {
    let app = App::named("no-run").serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    fs::remove_dir_all(app.run_directory()).expect("it can be removed");
    app.publish(&Behaviour::version("v2"));
    let _ = app.portkeep("reload", &[]).expect_success();
    app.wait_for_version("v2", SOON);
    app.wait_for_only(&app.unit("@2.service"), SOON);
    watcher.finish().expect_lossless();

    // A crash has nothing to go by then, and must not leave connections waiting.
    fs::remove_dir_all(app.run_directory()).expect("it can be removed");
    let watcher = app.watch();
    app.signal("@2.service", "KILL");
    app.wait_for_version("v2", SOON);
    watcher.finish().expect_lost_by_kills(1);
}

#[test]
fn the_link_to_the_current_generation() {
    let app = App::named("dangling").serve(&Behaviour::version("v1"));
    let dangle = || {
        let current = app.run_directory().join("current");
        fs::remove_file(&current).expect("it can be removed");
        symlink("generations/99", current).expect("it can be made");
    };
    let watcher = app.watch();
    dangle();
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_version("v2", SOON);
    app.wait_for_only(&app.unit("@2.service"), SOON);
    watcher.finish().expect_lossless();

    let watcher = app.watch();
    dangle();
    app.signal("@2.service", "KILL");
    wait_until("the helper has looked", SOON, || {
        (!app.run_directory().join("current").exists()
            || app.generations() != [app.unit("@2.service")])
        .then_some(())
    });
    app.wait_for_version("v2", SOON);
    watcher.finish().expect_lost_by_kills(1);
}

#[test]
fn the_state_directory() {
    let app = App::named("no-state").serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    fs::remove_dir_all(app.state_directory()).expect("it can be removed");
    app.publish(&Behaviour::version("v2"));
    // The helper that the units call is elsewhere, and puts it back.
    app.reload();
    app.wait_for_version("v2", SOON);
    assert!(app.state_directory().join("releases").exists());
    // What all apps share was removed as well: to place the units again puts it back, and hands over.
    let _ = fs::remove_dir_all(app.manager().state_directory().join(".helper"));
    app.publish(&Behaviour::version("v3"));
    let _ = app.systemctl("reload").expect_failure();
    app.wait_for_version("v2", SOON);
    let spec = app.directory().join("portkeep.json");
    let spec = spec.to_string_lossy();
    let install = ["install", app.manager().flag(), "--spec", &spec];
    let _ = run("portkeep", install).expect_success();
    app.wait_for_version("v3", SOON);
    watcher.finish().expect_lossless();
}

#[test]
fn a_state_directory_that_cannot_be_written() {
    let app = App::named("read-only").serve(&Behaviour::version("v1"));
    let state = app.state_directory();
    let (lock, unlock): (&dyn Fn(), &dyn Fn()) = match app.manager() {
        // root may write whatever the mode says.
        Manager::System => (
            &|| {
                mount(&["--bind", text(&state), text(&state)]);
                mount(&["-o", "remount,bind,ro", text(&state)]);
            },
            &|| {
                // Lazily, because the helper may be running from it.
                let _ = run("umount", ["--lazy", text(&state)]).expect_success();
            },
        ),
        Manager::User => (&|| set_mode(&state, 0o555), &|| set_mode(&state, 0o755)),
    };
    refused_for_the_disk(&app, lock, unlock, &["read-only", "permission denied"]);
}

#[test]
fn a_state_directory_that_is_full() {
    if Manager::of_this_process() == Manager::User {
        // Only root can make a small file system. What fails is the same write as in the test above.
        return;
    }
    let state = Manager::System.state_directory().join("full");
    fs::create_dir_all(&state).expect("it can be made");
    mount(&[
        "-t",
        "tmpfs",
        "-o",
        "size=64M,mode=755",
        "full",
        text(&state),
    ]);
    let app = App::named("full").serve(&Behaviour::version("v1"));
    let filler = state.join("filler");
    let fill = || {
        let zeros = format!("of={}", text(&filler));
        // Ends when nothing more fits.
        let _ = run("dd", ["if=/dev/zero", &zeros, "bs=64k"]).expect_failure();
    };
    let free = || fs::remove_file(&filler).expect("it can be removed");
    refused_for_the_disk(&app, &fill, &free, &["no space left"]);
    drop(app);
    let _ = run("umount", [text(&state)]).expect_success();
}

/// The old version serves, and the error says it; then the disk is well again. A crash meanwhile is survived, too.
fn refused_for_the_disk(app: &App, spoil: &dyn Fn(), mend: &dyn Fn(), words: &[&str]) {
    let watcher = app.watch();
    spoil();
    app.publish(&Behaviour::version("v2"));
    let told: Finished = app.portkeep("reload", &[]);
    let reload = app.systemctl("reload");
    // Whatever comes of the rest, the disk is not to stay like this.
    app.signal("@1.service", "KILL");
    wait_until("it is started again", SOON, || {
        (app.request("/").version() == Some("v1")).then_some(())
    });
    mend();
    told.expect_failure().expect_mention(words);
    let _ = reload.expect_failure();
    app.reload();
    app.wait_for_version("v2", SOON);
    app.wait_for_only(&app.generations().pop().expect("it serves"), SOON);
    let seen = watcher.finish();
    seen.expect_lost_by_kills(1);
    expect_v1_then_v2(&seen);
}

/// For an instant both accept.
fn expect_v1_then_v2(seen: &Observation) {
    let versions = seen.versions();
    let ends = [versions.first(), versions.last()];
    assert_eq!(ends, [Some(&"v1"), Some(&"v2")], "{versions:?}");
}

fn mount(words: &[&str]) {
    let _ = run("mount", words).expect_success();
}

fn set_mode(directory: &Path, mode: u32) {
    for path in [directory, &directory.join("releases")] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode can be set");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is text")
}
