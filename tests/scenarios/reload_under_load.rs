//! Nothing is lost while versions change under load.

use std::thread;
use std::time::Duration;

use portkeep_tests::{App, Behaviour, Connections, Http2Load, Load, Sample, paced};

const RELOADS: u32 = 20;
const DURATION: Duration = Duration::from_secs(40);
/// After a successful reload, only the new version answers after this.
const TAKEN_OVER: Duration = Duration::from_secs(1);
const SLOWEST: Duration = Duration::from_millis(150);
/// Of 160,000 that are asked for, so that a run in which little was sent does not pass.
const LEAST: u64 = 120_000;

#[test]
fn twenty_reloads_with_keep_alive() {
    reloads("load-keep", Connections::KeepAlive);
}

#[test]
fn twenty_reloads_with_a_connection_for_each_request() {
    reloads("load-close", Connections::OnePerRequest);
}

fn reloads(name: &str, connections: Connections) {
    let app = App::named(name).serve(&Behaviour::version("v0"));

    let mut load = Load::new(app.address(), DURATION, connections).start();
    paced(RELOADS, DURATION, |number| {
        let version = format!("v{number}");
        let behaviour = Behaviour::version(&version).start_delay(Duration::from_millis(300));
        app.publish(&behaviour);
        app.reload();
        // For an instant both accept: the old one is told to drain when the new one is READY.
        app.wait_for_version(&version, TAKEN_OVER);
    });
    assert!(load.is_running(), "the reloads outlasted the load");
    let report = load.finish();
    println!(
        "measured: {RELOADS} reloads, {connections:?}: {} requests, {} failed, median {:?}, slowest {:?}",
        report.requests, report.failed, report.median, report.slowest
    );
    report.expect_lossless(LEAST);
    assert!(report.slowest < SLOWEST, "{report:?}");
}

#[test]
fn twenty_reloads_with_http2() {
    let app = App::named("load-http2").serve(&Behaviour::version("v0"));
    let load = Http2Load::start(app.address(), 50, DURATION / 2);
    paced(RELOADS, DURATION / 2, |number| {
        let version = format!("v{number}");
        app.publish(&Behaviour::version(&version));
        app.reload();
        app.wait_for_version(&version, TAKEN_OVER);
    });
    assert!(load.is_running(), "the reloads outlasted the load");
    let report = load.finish();
    println!("measured: {RELOADS} reloads, HTTP/2, pooled client: {report}");
    report.expect_lossless(LEAST / 10);
}

#[test]
fn the_old_version_answers_while_the_new_one_starts() {
    let app = App::named("slow-start").serve(&Behaviour::version("v1"));

    let watcher = app.watch();
    app.publish(&Behaviour::version("v2").start_delay(Duration::from_secs(5)));
    let reload = app.systemctl("reload").expect_success();
    app.wait_for_version("v2", TAKEN_OVER);
    let seen = watcher.finish();
    seen.expect_lossless();
    seen.expect_faster_than(Duration::from_millis(500));
    let first = |version| {
        let answered = |sample: &&Sample| sample.outcome.version() == Some(version);
        seen.samples.iter().find(answered).map(|sample| sample.at)
    };
    assert!(first("v1") < Some(Duration::from_secs(1)));
    assert!(first("v2") >= Some(Duration::from_secs(5)));
    assert!(reload.took >= Duration::from_secs(5), "{reload}");
}

#[test]
fn a_slow_request_is_finished_by_the_version_that_began_it() {
    let app = App::named("slow-request").serve(&Behaviour::version("v1"));
    thread::scope(|scope| {
        let slow = scope.spawn(|| app.get("/slow?ms=3000"));
        // Begun when the process has it; its answer comes long after.
        thread::sleep(Duration::from_millis(200));
        app.publish(&Behaviour::version("v2"));
        app.reload();
        app.wait_for_version("v2", TAKEN_OVER);
        assert!(!slow.is_finished(), "the request was answered too early");
        assert_eq!(slow.join().expect("it was answered").version, "v1");
    });
}
