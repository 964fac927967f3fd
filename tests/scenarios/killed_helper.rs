//! A helper is killed at each of its steps; whatever it left, the next call makes right.

use std::fs;
use std::time::Duration;

use portkeep_tests::{App, Behaviour, Mode, wait_until};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

/// One generation serves `version`, it is `current`, and nothing else is left.
#[track_caller]
fn expect_right(app: &App, step: &str, version: &str) {
    app.wait_for_version(version, SOON);
    let current = || {
        let link = fs::read_link(app.run_directory().join("current")).ok()?;
        Some(app.unit(&format!("@{}.service", link.file_name()?.to_str()?)))
    };
    wait_until(
        &format!("{step}: one generation, the current one"),
        SOON,
        || (Some(app.generations()) == current().map(|unit| vec![unit])).then_some(()),
    );
    let seen: Vec<_> = [app.run_directory(), app.state_directory().join("releases")]
        .iter()
        .flat_map(|directory| fs::read_dir(directory).expect("it is there"))
        .map(|entry| entry.expect("it can be listed").file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert!(
        seen.is_empty(),
        "{step}: temporary files are left: {seen:?}"
    );
}

#[test]
fn in_a_reload_at_each_step() {
    let app = App::named("kill-reload").serve(&Behaviour::version("v0"));
    let good = Mode::Ok;
    let steps = [
        ("locked", good),
        ("captured", good),
        ("prepared", good),
        ("ready", good),
        ("switched", good),
        ("drained", good),
        ("recorded", good),
        ("failed", Mode::Exit),
        ("abandoned", Mode::Exit),
    ];
    let watcher = app.watch();
    for (number, (step, mode)) in steps.into_iter().enumerate() {
        let version = format!("v{}", number + 1);
        app.publish(&Behaviour::version(&version).mode(mode));
        app.kill_helper_at(step);
        let _ = app.systemctl("reload").expect_failure();
        assert!(app.helper_was_killed(), "no helper came to `{step}`");
        // As if it had been killed while it wrote, by a process that cannot live any more.
        let half_written = app.run_directory().join(".current.4194305");
        fs::write(half_written, "").expect("it can be written");
        app.publish(&Behaviour::version(&version));
        app.reload();
        expect_right(&app, step, &version);
    }
    watcher.finish().expect_lossless();
}

#[test]
fn in_an_activation_at_each_step() {
    let app = App::named("kill-activate").serve(&Behaviour::version("v0"));
    for step in [
        "locked", "captured", "prepared", "ready", "switched", "recorded",
    ] {
        let _ = app.systemctl("stop").expect_success();
        wait_until("it is stopped", SOON, || {
            app.generations().is_empty().then_some(())
        });
        // Nothing is current, so nothing is drained: `switched` is passed only where there are others.
        let step = if step == "switched" { "ready" } else { step };
        app.kill_helper_at(step);
        let watcher = app.watch();
        wait_until("the helper is killed", SOON, || {
            app.helper_was_killed().then_some(())
        });
        app.settled();
        app.reload();
        expect_right(&app, step, "v0");
        watcher.finish().expect_lossless();
    }
}

#[test]
fn in_the_settle_step() {
    for step in ["settle", "settle-marked", "settle-dropped"] {
        let name = format!("kill-{step}");
        let restart = json!({ "delay": "50ms", "rollbackAfter": 1 });
        let app = App::named(&name)
            .with("restart", restart)
            .serve(&Behaviour::version("v1"));
        app.publish(&Behaviour::version("v2"));
        app.reload();
        app.wait_for_only(&app.unit("@2.service"), SOON);
        let watcher = app.watch();
        app.kill_helper_at(step);
        app.signal("@2.service", "KILL");
        wait_until("the helper is killed", SOON, || {
            app.helper_was_killed().then_some(())
        });
        app.settled();
        app.publish(&Behaviour::version("v3"));
        app.reload();
        expect_right(&app, step, "v3");
        watcher.finish().expect_lost_by_kills(1);
    }
}

/// Killed while a page is made: a page without anybody who waits for a release would stay for ever.
#[test]
fn while_nothing_can_serve() {
    let app = App::named("kill-page").serve(&Behaviour::version("v1"));
    let _ = app.systemctl("stop").expect_success();
    let _ = fs::remove_file(app.state_directory().join("good.json"));
    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    app.kill_helper_at("abandoned");
    let watcher = app.watch();
    app.wait_for_status(503, SOON);
    assert!(app.helper_was_killed());
    app.publish(&Behaviour::version("v3"));
    app.wait_for_version("v3", Duration::from_secs(20));
    app.settled();
    app.reload();
    expect_right(&app, "while nothing can serve", "v3");
    watcher.finish().expect_never_refused();
}
