//! What `systemctl` does to an app, and that only one verb on one unit closes the port.

use std::time::Duration;

use portkeep_tests::{App, Behaviour, Manager, Outcome, wait_until};

const READY: Duration = Duration::from_secs(20);

#[test]
fn restart_loses_nothing() {
    let slow = Behaviour::version("v1").start_delay(Duration::from_millis(300));
    let app = App::named("restart").serve(&slow);
    let watcher = app.watch();
    let _ = app.systemctl("restart").expect_success();
    app.wait_for_version("v1", READY);
    watcher.finish().expect_lossless();
    wait_until("one generation is left", READY, || {
        (app.generations().len() == 1).then_some(())
    });
    assert_ne!(
        app.generations(),
        [app.unit("@1.service")],
        "it is a new one"
    );
}

#[test]
fn stop_ends_the_app_and_the_next_connection_starts_it() {
    let app = App::named("stop").serve(&Behaviour::version("v1"));
    let _ = app.systemctl("stop").expect_success();
    wait_until("all generations have ended", READY, || {
        app.generations().is_empty().then_some(())
    });
    assert_eq!(app.get("/").version, "v1");
}

#[test]
fn stopping_the_target_closes_the_port_and_starting_it_opens_it() {
    let app = App::named("stop-target").serve(&Behaviour::version("v1"));
    let target = app.unit(".target");
    let _ = app.manager().systemctl(&["stop", &target]).expect_success();
    wait_until("the port is closed", READY, || {
        (app.request("/") == Outcome::Refused).then_some(())
    });
    wait_until("all generations have ended", READY, || {
        app.generations().is_empty().then_some(())
    });
    let _ = app
        .manager()
        .systemctl(&["start", &target])
        .expect_success();
    assert_eq!(app.get("/").version, "v1");
}

/// What drains goes on, also while the app is started again. systemd closes a socket after the service that has it, so the port
/// is closed when the drain has ended; who connects meanwhile is not served.
#[test]
fn stopping_the_target_without_waiting_drains_and_may_be_taken_back() {
    let app = App::named("stop-no-block").serve(&Behaviour::version("v1"));
    let stop = || {
        let words = ["--no-block", "stop", &app.unit(".target")];
        let _ = app.manager().systemctl(&words).expect_success();
        wait_until("the generation drains", READY, || {
            let unit = &app.generations()[0];
            let state = app.manager().property(unit, "ActiveState");
            (state == "deactivating").then_some(())
        });
    };
    let slow = app.ask("/slow?ms=4000");
    stop();
    app.publish(&Behaviour::version("v2"));
    let start = ["start", &app.unit(".target")];
    let _ = app.manager().systemctl(&start).expect_success();
    // The next connection starts another generation, and the first one finishes what it has.
    assert_eq!(app.get("/").version, "v2");
    assert_eq!(slow.outcome().expect_answer().version, "v1");
    app.wait_for_only_one();
    let slow = app.ask("/slow?ms=1000");
    stop();
    assert_eq!(slow.outcome().expect_answer().version, "v2");
    wait_until("the port is closed", READY, || {
        (app.request("/") == Outcome::Refused).then_some(())
    });
}

#[test]
fn the_socket_cannot_be_stopped_by_accident() {
    let app = App::named("stop-socket").serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    for verb in ["stop", "restart"] {
        let refused = app.manager().systemctl(&[verb, &app.unit(".socket")]);
        let _ = refused.expect_failure();
    }
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_version("v2", READY);
    watcher.finish().expect_lossless();
}

#[test]
fn the_manager_may_reload_and_reexec() {
    let app = App::named("reexec").serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    for verb in ["daemon-reload", "daemon-reexec"] {
        let _ = app.manager().systemctl(&[verb]).expect_success();
    }
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_version("v2", READY);
    watcher.finish().expect_lossless();
}

/// The port belongs to the machine's sockets, which no other target gives up. A user's manager has no target to isolate.
#[test]
fn another_target_that_is_isolated_leaves_the_port_open() {
    if Manager::of_this_process() == Manager::User {
        println!("not asked of a user's manager");
        return;
    }
    let app = App::named("isolated").serve(&Behaviour::version("v1"));
    let wanted = app.manager().property(&app.unit(".socket"), "WantedBy");
    assert!(wanted.contains("sockets.target"), "{wanted}");
    let isolated = app.manager().systemctl(&["isolate", "multi-user.target"]);
    let _ = isolated.expect_success();
    assert_eq!(
        app.manager().property(&app.unit(".socket"), "ActiveState"),
        "active"
    );
    app.wait_for_version("v1", Duration::from_secs(10));
}
