//! Nothing is lost while versions change under load.

use std::thread;
use std::time::Duration;

use portkeep_tests::machine::expect_shorter;
use portkeep_tests::{App, Behaviour, Connections, Http2Load, Load, Sample, paced};

const RELOADS: u32 = 20;
const DURATION: Duration = Duration::from_secs(15);
/// After a successful reload, only the new version answers soon.
const TAKEN_OVER: Duration = Duration::from_secs(10);
const SLOWEST: Duration = Duration::from_millis(150);
/// As many as there are connections, between two reloads: load at all. A calm machine answers 60,000, a busy one fewer.
const LEAST: u64 = 50 * RELOADS as u64;

#[test]
fn twenty_reloads_with_keep_alive() {
    reloads("load-keep", Connections::KeepAlive);
}

#[test]
fn twenty_reloads_with_a_connection_for_each_request() {
    reloads("load-close", Connections::OnePerRequest);
}

fn reloads(name: &str, connections: Connections) {
    let what = format!("the slowest of requests through {RELOADS} reloads, {connections:?}");
    expect_shorter(&what, SLOWEST, || slowest_of_reloads(name, connections));
}

fn slowest_of_reloads(name: &str, connections: Connections) -> Duration {
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
    assert!(load.is_running(), "the load ended by itself");
    let report = load.finish();
    println!(
        "measured: {RELOADS} reloads, {connections:?}: {} requests, {} failed, median {:?}, slowest {:?}",
        report.requests, report.failed, report.median, report.slowest
    );
    report.expect_lossless(LEAST);
    report.slowest
}

#[test]
fn twenty_reloads_with_http2() {
    let app = App::named("load-http2").serve(&Behaviour::version("v0"));
    let load = Http2Load::start(app.address(), 50, DURATION);
    paced(RELOADS, DURATION, |number| {
        let version = format!("v{number}");
        app.publish(&Behaviour::version(&version));
        app.reload();
        app.wait_for_version(&version, TAKEN_OVER);
    });
    assert!(load.is_running(), "the load ended by itself");
    let report = load.finish();
    println!("measured: {RELOADS} reloads, HTTP/2, pooled client: {report}");
    report.expect_lossless(LEAST);
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
    // Who waited for the new one would have waited for five seconds.
    seen.expect_faster_than(Duration::from_millis(2500));
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
    // Its answer comes long after.
    let slow = app.ask("/slow?ms=6000");
    thread::scope(|scope| {
        let slow = scope.spawn(|| slow.outcome());
        app.publish(&Behaviour::version("v2"));
        app.reload();
        app.wait_for_version("v2", TAKEN_OVER);
        assert!(!slow.is_finished(), "the request was answered too early");
        assert_eq!(slow.join().expect("it was asked").version(), Some("v1"));
    });
}
