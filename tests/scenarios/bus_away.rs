//! The way to the manager is lost, or the manager itself is away for a moment.

use std::fs;
use std::thread;
use std::time::Duration;

use portkeep_tests::{App, Behaviour, wait_until};

const SOON: Duration = Duration::from_secs(15);

#[test]
fn without_the_bus_the_old_version_serves_and_crashes_are_survived() {
    let app = App::named("no-bus").serve(&Behaviour::version("v1"));
    let bus = app.manager().bus();
    let hidden = bus.with_extension("hidden");
    let watcher = app.watch();
    fs::rename(&bus, &hidden).expect("it can be hidden");
    app.publish(&Behaviour::version("v2"));
    let told = app.portkeep("reload", &[]);
    let reload = app.systemctl("reload");
    app.signal("@1.service", "KILL");
    let restarted = wait_until("v1 is started again", SOON, || {
        app.request("/").version().map(str::to_owned)
    });
    fs::rename(&hidden, &bus).expect("it can be shown again");
    told.expect_failure()
        .expect_mention(&["can be reached", "does not exist"]);
    let _ = reload.expect_failure();
    assert_eq!(restarted, "v1");
    app.reload();
    app.wait_for_version("v2", SOON);
    app.wait_for_only(&app.unit("@2.service"), SOON);
    watcher.finish().expect_lost_by_kills(1);
}

/// A clean end while the bus is away must not leave an active handle without a generation.
#[test]
fn without_the_bus_no_connection_waits_for_ever() {
    let app = App::named("no-bus-end").serve(&Behaviour::version("v1"));
    let bus = app.manager().bus();
    let hidden = bus.with_extension("hidden");
    fs::rename(&bus, &hidden).expect("it can be hidden");
    app.signal("@1.service", "TERM");
    let dropped = thread::spawn({
        let (manager, handle) = (app.manager(), app.unit(".service"));
        move || {
            for _ in 0..500 {
                if manager.property(&handle, "ActiveState") != "active" {
                    return true;
                }
                thread::sleep(Duration::from_millis(10));
            }
            false
        }
    })
    .join();
    fs::rename(&hidden, &bus).expect("it can be shown again");
    assert_eq!(dropped.ok(), Some(true), "the handle stayed active");
    app.wait_for_version("v1", SOON);
}

#[test]
fn the_manager_is_reloaded_and_reexecuted_in_the_middle_of_a_handover() {
    let app = App::named("mid-reexec").serve(&Behaviour::version("v0"));
    let watcher = app.watch();
    for (number, verb) in ["daemon-reload", "daemon-reexec"].into_iter().enumerate() {
        let version = format!("v{}", number + 1);
        let slow = Behaviour::version(&version).start_delay(Duration::from_secs(1));
        app.publish(&slow);
        thread::scope(|scope| {
            let reload = scope.spawn(|| app.systemctl("reload"));
            let starting = app.unit(&format!("@{}.service", number + 2));
            wait_until("it is starting", SOON, || {
                (app.manager().property(&starting, "ActiveState") == "activating").then_some(())
            });
            let _ = app.manager().systemctl(&[verb]).expect_success();
            // systemctl itself loses its connection to a manager that is reexecuted; the helper goes on.
            let reload = reload.join().expect("it ends");
            assert!(
                verb == "daemon-reexec" || reload.code == Some(0),
                "{reload}"
            );
        });
        app.wait_for_version(&version, SOON);
        app.wait_for_only(&app.unit(&format!("@{}.service", number + 2)), SOON);
    }
    watcher.finish().expect_lossless();
}
