//! Maintenance on demand: a page answers until a person says that it is over, and no connection is refused.

use std::time::Duration;

use portkeep_tests::{App, Behaviour, Mode, wait_until, whole_answer};

const SOON: Duration = Duration::from_secs(10);

fn answer(app: &App, accept: &str) -> String {
    let headers = format!("Accept: {accept}\r\n");
    whole_answer(app.address(), &headers, Duration::from_secs(5)).expect("it is answered")
}

#[test]
fn the_page_answers_until_it_is_turned_off() {
    let app = App::named("maintained").serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    let slow = app.ask("/slow?ms=1500");
    let message = "Back <b>soon</b> & well";
    let told = app.portkeep("maintenance", &["on", "--message", message]);
    told.expect_success().expect_mention(&["in maintenance"]);
    app.wait_for_status(503, SOON);
    assert_eq!(slow.outcome().version(), Some("v1"), "it was under way");
    let html = answer(&app, "text/html");
    assert!(
        html.contains("Back &lt;b&gt;soon&lt;/b&gt; &amp; well"),
        "{html}"
    );
    let json = answer(&app, "application/json");
    assert!(json.contains("\"error\":\"maintenance\""), "{json}");
    assert!(
        json.to_lowercase().contains("\r\nretry-after: 30\r\n"),
        "{json}"
    );
    for (verb, words) in [
        ("status", "in maintenance since"),
        ("history", "maintenance"),
    ] {
        let told = app.portkeep(verb, &[]).expect_success();
        told.expect_mention(&[words]);
    }
    let doctor = app.portkeep("doctor", &[]);
    assert_eq!(doctor.code, Some(0), "{doctor}");
    doctor.expect_mention(&["maintenance"]);
    // Another message is shown by the same page.
    let pages = app.history().len();
    let _ = app.portkeep("maintenance", &["on"]).expect_success();
    assert!(answer(&app, "*/*").contains("Down for maintenance"));
    assert_eq!(app.history().len(), pages);
    let _ = app.portkeep("maintenance", &["off"]).expect_success();
    app.wait_for_version("v1", SOON);
    let told = app.portkeep("maintenance", &["off"]).expect_success();
    told.expect_mention(&["not in maintenance"]);
    watcher.finish().expect_never_refused();
}

#[test]
fn a_reload_does_not_end_it_and_says_so() {
    let app = App::named("maintained-on").serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    let _ = app.portkeep("maintenance", &["on"]).expect_success();
    app.publish(&Behaviour::version("v2"));
    for args in [vec![], vec!["--force"]] {
        let told = app.portkeep("reload", &args);
        assert_eq!(told.code, Some(1), "{told}");
        told.expect_mention(&["`portkeep maintenance maintained-on off`"]);
    }
    let _ = app.systemctl("reload").expect_failure();
    let told = app.portkeep("rollback", &["1"]).expect_failure();
    told.expect_mention(&["maintenance"]);
    app.wait_for_status(503, SOON);
    // A crash, a stop and a start of the app do not end it either.
    app.signal("-holding.service", "KILL");
    app.wait_for_status(503, SOON);
    let _ = app.systemctl("restart").expect_success();
    app.wait_for_status(503, SOON);
    // What served serves again; what was built meanwhile where that is asked for.
    let _ = app.portkeep("maintenance", &["off"]).expect_success();
    app.wait_for_version("v1", SOON);
    let _ = app.portkeep("maintenance", &["on"]).expect_success();
    app.wait_for_status(503, SOON);
    let _ = app
        .portkeep("maintenance", &["off", "--reload"])
        .expect_success();
    app.wait_for_version("v2", SOON);
    app.wait_for_only_one();
    watcher.finish().expect_never_refused();
}

/// Nobody serves: there is nothing to hand over, and the next connection gets the page.
#[test]
fn it_begins_and_ends_while_the_app_is_stopped() {
    let app = App::named("maintained-idle").serve(&Behaviour::version("v1"));
    let stop = || {
        let _ = app.systemctl("stop").expect_success();
    };
    stop();
    let told = app.portkeep("maintenance", &["on"]).expect_success();
    told.expect_mention(&["the next connection gets the page"]);
    app.wait_for_status(503, SOON);
    stop();
    // As after a reboot.
    wait_until("it has ended", SOON, || {
        let page = app.unit("-holding.service");
        (app.manager().property(&page, "ActiveState") == "inactive").then_some(())
    });
    std::fs::remove_dir_all(app.run_directory()).expect("it is there");
    app.wait_for_status(503, SOON);
    let status = app.portkeep("status", &[]).expect_success();
    status.expect_mention(&["in maintenance since"]);
    stop();
    let told = app.portkeep("maintenance", &["off"]).expect_success();
    told.expect_mention(&["the next connection gets the app"]);
    app.wait_for_version("v1", SOON);
}

#[test]
fn a_release_that_does_not_start_leaves_the_page_until_one_does() {
    let app = App::named("maintained-bad").serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    let _ = app.portkeep("maintenance", &["on"]).expect_success();
    app.wait_for_status(503, SOON);
    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    let told = app.portkeep("maintenance", &["off", "--reload"]);
    // The last good release serves instead, as after any handover that fails while nothing serves.
    assert_eq!(told.code, Some(3), "{told}");
    app.wait_for_version("v1", SOON);
    watcher.finish().expect_never_refused();
}

#[test]
fn a_helper_that_is_killed_leaves_nothing_that_lasts() {
    let app = App::named("maintained-kill").serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    for step in [
        "maintenance-begun",
        "prepared",
        "ready",
        "switched",
        "drained",
    ] {
        println!("killed at {step}");
        app.kill_helper_at(step);
        let _ = app.portkeep("maintenance", &["on"]);
        assert!(app.helper_was_killed(), "no helper came to `{step}`");
        let _ = app.portkeep("maintenance", &["on"]).expect_success();
        app.wait_for_status(503, SOON);
        let _ = app.portkeep("maintenance", &["off"]).expect_success();
        app.wait_for_version("v1", SOON);
        app.wait_for_only_one();
    }
    // The page is there, and nobody says so any more: it is replaced by itself in the end, and at once by a reload.
    let _ = app.portkeep("maintenance", &["on"]).expect_success();
    app.kill_helper_at("maintenance-ended");
    let _ = app.portkeep("maintenance", &["off"]);
    assert!(app.helper_was_killed());
    let retry = app.unit("-retry.service");
    wait_until("it is tried, or was already", SOON, || {
        let is_tried = app.manager().property(&retry, "ActiveState") == "active";
        (is_tried || app.request("/").version() == Some("v1")).then_some(())
    });
    app.reload();
    app.wait_for_version("v1", SOON);
    watcher.finish().expect_never_refused();
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let app = App::named("maintained-not").serve(&Behaviour::version("v1"));
    let long = "x".repeat(501);
    for message in ["", "a\nb", "\u{1b}[2J", &long] {
        let told = app.portkeep("maintenance", &["on", "--message", message]);
        assert_eq!(told.code, Some(2), "{told}");
    }
    app.wait_for_version("v1", SOON);
    drop(app);
    let raw = serde_json::json!([{ "stream": "127.0.0.1:8080", "protocol": "raw" }]);
    let app = App::named("maintained-raw")
        .with("listen", raw)
        .serve(&Behaviour::version("v1"));
    let told = app.portkeep("maintenance", &["on"]);
    assert_eq!(told.code, Some(1), "{told}");
    told.expect_mention(&["speaks HTTP"]);
    app.wait_for_version("v1", SOON);
}
