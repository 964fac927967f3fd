//! A build that dies after READY does not stay.

use std::time::Duration;

use portkeep_tests::{App, Behaviour, Mode, wait_until};
use serde_json::json;

/// So many crashes after its READY condemn a release.
const CRASHES: usize = 3;

#[test]
fn a_build_that_crashes_after_ready_is_rolled_back_by_itself() {
    let restart = json!({ "delay": "50ms", "maxDelay": "500ms", "rollbackAfter": CRASHES });
    let app = App::named("crash-loop")
        .with("restart", restart)
        .serve(&Behaviour::version("v1"));

    let watcher = app.watch();
    let after = Duration::from_millis(200);
    app.publish(&Behaviour::version("v2").mode(Mode::SegvAfterReady { after }));
    app.reload();
    // v2 answers between its crashes, if only for a moment; v1 must come back and stay.
    wait_until("it is rolled back", Duration::from_secs(20), || {
        let history = app.history();
        history
            .iter()
            .any(|event| event["result"] == "fell-back")
            .then_some(())
    });
    app.wait_for_version("v1", Duration::from_secs(20));
    // A crash loses what the crashed process had accepted, never what waits in the queue.
    watcher.finish().expect_lost_by_kills(CRASHES);

    let watcher = app.watch();
    std::thread::sleep(Duration::from_secs(2));
    let seen = watcher.finish();
    seen.expect_lossless();
    assert_eq!(seen.versions(), ["v1"]);
}

#[test]
fn a_killed_generation_comes_back() {
    let app = App::named("killed").serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    let generation = app.unit("@1.service");
    let killed = app
        .manager()
        .systemctl(&["kill", "--signal=KILL", &generation]);
    let _ = killed.expect_success();
    app.wait_for_version("v1", Duration::from_secs(10));
    watcher.finish().expect_lost_by_kills(1);
}
