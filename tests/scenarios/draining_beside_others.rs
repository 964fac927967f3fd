//! A drain holds up no other unit, also where a switch asks for a start of everything.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::{App, Behaviour, Manager, wait_until};

const SOON: Duration = Duration::from_secs(15);

/// Where a test may place a unit of its own.
fn units() -> PathBuf {
    match Manager::of_this_process() {
        Manager::System => "/run/systemd/system".into(),
        Manager::User => PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").expect("it is set"))
            .join("systemd/user"),
    }
}

#[test]
fn other_units_start_while_an_old_generation_drains() {
    let manager = Manager::of_this_process();
    let other = units().join("other-unit.service");
    fs::create_dir_all(units()).expect("it can be made");
    let text = "[Service]\nType=oneshot\nExecStart=true\n";
    fs::write(&other, text).expect("it can be written");
    let _ = manager.systemctl(&["daemon-reload"]).expect_success();
    let app = App::named("long-drain").serve(&Behaviour::version("v1"));
    thread::scope(|scope| {
        let slow = app.ask("/slow?ms=8000");
        let slow = scope.spawn(|| slow.outcome());
        app.publish(&Behaviour::version("v2"));
        app.reload();
        wait_until("the old one drains", SOON, || {
            let state = manager.property(&app.unit("@1.service"), "ActiveState");
            (state == "deactivating").then_some(())
        });
        let begun = Instant::now();
        // As a switch does: a start of every active target, then of what changed.
        let listed = manager.systemctl(&[
            "list-units",
            "--type=target",
            "--state=active",
            "--plain",
            "--no-legend",
        ]);
        let targets = listed.expect_success().stdout;
        let targets: Vec<_> = targets
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|target| manager.property(target, "RefuseManualStart") == "no")
            .collect();
        let _ = manager
            .systemctl(&[&["--no-block", "start"], targets.as_slice()].concat())
            .expect_success();
        let _ = manager
            .systemctl(&["start", "other-unit.service"])
            .expect_success();
        let took = begun.elapsed();
        assert!(
            took < Duration::from_secs(4),
            "it waited for the drain: {took:?}"
        );
        let answered = slow.join().expect("it was asked");
        assert_eq!(answered.version(), Some("v1"), "{answered:?}");
    });
    let _ = fs::remove_file(other);
    let _ = manager.systemctl(&["daemon-reload"]).expect_success();
}

#[test]
fn generations_are_in_the_slice_that_outlives_the_network() {
    let manager = Manager::of_this_process();
    if manager == Manager::User {
        return;
    }
    let app = App::named("sliced").serve(&Behaviour::version("v1"));
    let group = manager.property(&app.unit("@1.service"), "ControlGroup");
    assert!(group.contains("/portkeep.slice/"), "{group}");
    let after = manager.property("portkeep.slice", "After");
    assert!(after.contains("network.target"), "{after}");
}

/// What an operator writes for a generation is applied by the next reload, although the executable is the same.
#[test]
fn a_changed_drop_in_is_applied_by_a_reload() {
    let app = App::named("dropped-in").serve(&Behaviour::version("v1"));
    app.reload();
    app.wait_for_only(&app.unit("@1.service"), SOON);
    let directory = units().join(app.unit("@.service.d"));
    fs::create_dir_all(&directory).expect("it can be made");
    let file = directory.join("60-mine.conf");
    fs::write(&file, "[Service]\nEnvironment=GREETING=hi\n").expect("it can be written");
    let _ = app.manager().systemctl(&["daemon-reload"]).expect_success();
    app.reload();
    app.wait_for_only(&app.unit("@2.service"), SOON);
    assert_eq!(app.get("/env/GREETING").body.trim(), "\"hi\"");
    let _ = fs::remove_dir_all(&directory);
}
