//! The current version is killed, or hangs.

use std::time::Duration;

use portkeep_tests::{App, Behaviour};
use serde_json::json;

#[test]
fn a_version_that_hangs_is_started_again() {
    let app = App::named("hangs")
        .with("watchdog", json!("2s"))
        .serve(&Behaviour::version("v1"));
    let before = app.get("/").body;
    let watcher = app.watch();
    app.signal("@1.service", "STOP");
    portkeep_tests::wait_until("another process answers", Duration::from_secs(30), || {
        let answer = app.request("/");
        (answer.version() == Some("v1") && app.get("/").body != before).then_some(())
    });
    watcher.finish().expect_lost_by_kills(1);
    assert_eq!(app.generations(), [app.unit("@1.service")]);
    let crash = app.history().pop().expect("it is in the history");
    assert_eq!(crash["reason"], "its watchdog was not fed");
    assert_eq!(crash["decision"], "restart");
}
