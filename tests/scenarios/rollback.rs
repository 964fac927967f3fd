//! Back to a release that served before: by hand, and by itself.

use std::fs;
use std::time::Duration;

use portkeep_tests::{App, Behaviour, Mode};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

fn reload(app: &App, version: &str) {
    app.publish(&Behaviour::version(version));
    app.reload();
    app.wait_for_version(version, SOON);
}

#[test]
fn by_hand_is_a_handover_like_any_other() {
    let app = App::named("by-hand")
        .with("keepGenerations", json!(3))
        .serve(&Behaviour::version("v1"));
    reload(&app, "v2");
    reload(&app, "v3");

    let watcher = app.watch();
    let _ = app.portkeep("rollback", &[]).expect_success();
    app.wait_for_version("v2", SOON);
    app.wait_for_only(&app.unit("@4.service"), SOON);
    let _ = app.portkeep("rollback", &["1"]).expect_success();
    app.wait_for_version("v1", SOON);
    // Asked for again, it is done already.
    let _ = app.portkeep("rollback", &["1"]).expect_success();
    app.wait_for_only(&app.unit("@5.service"), SOON);

    // What was rolled back does not come again by itself, only where it is asked for.
    let _ = app.systemctl("restart").expect_success();
    app.wait_for_version("v1", SOON);
    app.settled();
    app.reload();
    app.wait_for_version("v3", SOON);
    watcher.finish().expect_lossless();

    let history = app.history();
    let rolled_back = history
        .iter()
        .filter(|event| event["purpose"] == "rollback" && event["result"] == "handed-over");
    assert_eq!(rolled_back.count(), 2, "{history:?}");
}

#[test]
fn to_what_is_gone_is_an_error_that_names_what_is_kept() {
    let app = App::named("gone-release")
        .with("keepGenerations", json!(2))
        .serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    for version in ["v2", "v3", "v4"] {
        reload(&app, version);
    }
    let gone = app.portkeep("rollback", &["1"]).expect_failure();
    gone.expect_mention(&["is gone"]);
    gone.expect_mention(&["kept are those of generations 4"]);
    assert_eq!(gone.code, Some(1), "{gone}");
    let unknown = app.portkeep("rollback", &["77"]).expect_failure();
    unknown.expect_mention(&["nothing is known of a generation 77"]);

    // One whose executable somebody removed is gone, too.
    for entry in fs::read_dir(app.state_directory().join("releases")).expect("releases are kept") {
        let _ = fs::remove_file(entry.expect("it can be listed").path().join("app"));
    }
    app.portkeep("rollback", &[])
        .expect_failure()
        .expect_mention(&["no other release is kept"]);
    app.wait_for_version("v4", SOON);
    watcher.finish().expect_lossless();
}

#[test]
fn to_a_release_that_does_not_start_any_more_changes_nothing() {
    let app = App::named("rotten").serve(&Behaviour::version("v1"));
    reload(&app, "v2");
    let v1 = app.history()[0]["digest"].as_str().map(str::to_owned);
    let v1 = app
        .state_directory()
        .join("releases")
        .join(v1.expect("a digest"))
        .join("app");
    let _ = fs::remove_file(&v1);
    portkeep_tests::stamp::stamp(
        &portkeep_tests::probe(),
        &v1,
        &Behaviour::version("v1").mode(Mode::Exit),
    )
    .expect("it can be spoiled");
    let watcher = app.watch();
    let told = app.portkeep("rollback", &["1"]).expect_failure();
    told.expect_mention(&["status 3"]);
    assert_eq!(told.code, Some(1), "{told}");
    let seen = watcher.finish();
    seen.expect_lossless();
    assert_eq!(seen.versions(), ["v2"]);
}

#[test]
fn by_itself_after_crashes_without_anybody_who_connects() {
    let restart = json!({ "delay": "20ms", "rollbackAfter": 2 });
    let app = App::named("by-itself")
        .with("restart", restart)
        .serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2").mode(Mode::SegvAfterReady {
        after: Duration::from_millis(200),
    }));
    app.reload();
    // Nobody connects from here on, and yet it is done, with the reason.
    let fell_back =
        portkeep_tests::wait_until("v1 is brought back", Duration::from_secs(10), || {
            app.history()
                .into_iter()
                .find(|event| event["result"] == "fell-back")
        });
    let reason = fell_back["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("crashed 2 times"), "{fell_back}");
    assert!(reason.contains("SEGV"), "{fell_back}");
    let decisions: Vec<_> = app
        .history()
        .iter()
        .filter(|event| event["event"] == "crash")
        .map(|event| event["decision"].clone())
        .collect();
    assert_eq!(decisions, ["restart", "give-up"]);
    app.manager()
        .journal(&app.unit("-settle@2.service"))
        .expect_mention(&["its release is given up"]);
    app.wait_for_version("v1", SOON);
}
