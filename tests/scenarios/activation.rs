//! The port is open before anything runs; the first connection starts the app.

use std::time::Duration;

use portkeep_tests::{App, Behaviour, wait_until};

#[test]
fn the_first_connection_starts_the_app() {
    let app = App::named("first").install(&Behaviour::version("v1"));
    assert_eq!(
        app.generations(),
        [""; 0],
        "nothing runs before it is needed"
    );
    assert_eq!(app.get("/").version, "v1");
    assert_eq!(app.generations(), [app.unit("@1.service")]);
}

#[test]
fn connections_wait_for_a_slow_start_and_none_is_refused() {
    let slow = Behaviour::version("v1").start_delay(Duration::from_secs(1));
    let app = App::named("slow-first").install(&slow);
    let watcher = app.watch();
    app.wait_for_version("v1", Duration::from_secs(20));
    let seen = watcher.finish();
    seen.expect_lossless();
    seen.expect_faster_than(Duration::from_secs(8));
    assert_eq!(app.generations().len(), 1, "one start for all of them");
}

#[test]
fn a_build_that_appears_later_serves_those_who_wait() {
    let app = App::named("late").install(&Behaviour::version("v1"));
    app.remove_executable();
    let watcher = app.watch();
    // Nothing can serve. Whatever answers meanwhile, the port must stay open.
    let _ = app.request("/");
    app.publish(&Behaviour::version("v2"));
    app.wait_for_version("v2", Duration::from_secs(15));
    watcher.finish().expect_never_refused();
}

#[test]
fn a_reload_during_the_first_start_is_not_lost() {
    let slow = Behaviour::version("v1").start_delay(Duration::from_secs(1));
    let app = App::named("early-reload").install(&slow);
    let watcher = app.watch();
    wait_until("v1 is starting", Duration::from_secs(20), || {
        (!app.generations().is_empty()).then_some(())
    });
    // systemd merges this reload into the start that is under way, and never runs ExecReload=.
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_version("v2", Duration::from_secs(20));
    watcher.finish().expect_lossless();
}
