//! The current version is killed, or hangs.

use std::time::Duration;

use portkeep_tests::{App, Behaviour};
use serde_json::json;

/// What a killed process may have accepted, of a client that asks every five milliseconds.
const IN_FLIGHT: usize = 10;

#[test]
fn a_version_that_hangs_is_started_again() {
    let app = App::named("hangs")
        .with("watchdog", json!("500ms"))
        .serve(&Behaviour::version("v1"));
    let before = app.get("/").body;
    let watcher = app.watch();
    app.signal("@1.service", "STOP");
    portkeep_tests::wait_until("another process answers", Duration::from_secs(10), || {
        let answer = app.request("/");
        (answer.version() == Some("v1") && app.get("/").body != before).then_some(())
    });
    watcher.finish().expect_lost_at_most(IN_FLIGHT);
    assert_eq!(app.generations(), [app.unit("@1.service")]);
    let crash = app.history().pop().expect("it is in the history");
    assert_eq!(crash["reason"], "its watchdog was not fed");
    assert_eq!(crash["decision"], "restart");
}
