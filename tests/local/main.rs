//! `portkeep dev` without systemd: it holds the port itself and runs generations as its children.
#![allow(missing_docs, reason = "the names of the tests say what they show")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod dev;
mod prove;

use std::thread;
use std::time::{Duration, Instant};

use dev::Dev;
use portkeep_tests::machine::expect_shorter;
use portkeep_tests::{
    Behaviour, Connections, Http2Load, Load, Mode, Moment, Outcome, Publish, Sample, Steady, paced,
    wait_until,
};

const RELOADS: u32 = 20;
const DURATION: Duration = Duration::from_secs(15);
const SLOWEST: Duration = Duration::from_millis(150);
/// As many as there are connections, between two reloads: load at all. A calm machine answers 60,000, a busy one fewer.
const LEAST: u64 = 50 * RELOADS as u64;
/// After a successful reload, only the new version answers soon.
const TAKEN_OVER: Duration = Duration::from_secs(10);

#[test]
fn twenty_reloads_with_keep_alive() {
    reloads("keep", Connections::KeepAlive);
}

#[test]
fn twenty_reloads_with_a_connection_for_each_request() {
    reloads("close", Connections::OnePerRequest);
}

fn reloads(name: &str, connections: Connections) {
    let what = format!("the slowest of requests through {RELOADS} reloads, {connections:?}");
    expect_shorter(&what, SLOWEST, || slowest_of_reloads(name, connections));
}

fn slowest_of_reloads(name: &str, connections: Connections) -> Duration {
    let dev = Dev::start(name, Publish::Rename, &Behaviour::version("v0"));
    let mut load = Load::new(dev.address(), DURATION, connections).start();
    paced(RELOADS, DURATION, |number| {
        let version = format!("v{number}");
        let behaviour = Behaviour::version(&version).start_delay(Duration::from_millis(300));
        dev.publish(&behaviour);
        let _ = dev.reload().expect_success();
        dev.wait_for_version(&version, TAKEN_OVER);
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
    let dev = Dev::start("http2", Publish::Rename, &Behaviour::version("v0"));
    let load = Http2Load::start(dev.address(), 50, DURATION);
    paced(RELOADS, DURATION, |number| {
        let version = format!("v{number}");
        dev.publish(&Behaviour::version(&version));
        let _ = dev.reload().expect_success();
        dev.wait_for_version(&version, TAKEN_OVER);
    });
    assert!(load.is_running(), "the load ended by itself");
    let report = load.finish();
    println!("measured: {RELOADS} reloads, HTTP/2, pooled client: {report}");
    report.expect_lossless(LEAST);
}

#[test]
fn no_connection_is_closed_by_a_reload() {
    let dev = Dev::start("moves", Publish::Rename, &Behaviour::version("v0"));
    let pauses = [
        (20, Duration::ZERO),
        (20, Duration::from_millis(20)),
        (10, Duration::from_secs(1)),
    ];
    let steady = Steady::start(dev.address(), &pauses);
    for number in 1..=RELOADS {
        let version = format!("v{number}");
        dev.publish(&Behaviour::version(&version));
        let _ = dev.reload().expect_success();
        dev.wait_for_version(&version, TAKEN_OVER);
    }
    // Each asks once more.
    let kept = steady.finish();
    println!("measured: {RELOADS} reloads, 50 connections: {kept}");
    kept.expect_all(LEAST);
    assert!(kept.versions.contains(&format!("v{RELOADS}")));
}

#[test]
fn a_build_that_cannot_serve_changes_nothing() {
    let dev = Dev::start("bad", Publish::Rename, &Behaviour::version("v1"));
    let watcher = dev.watch();
    for (mode, reason) in [
        (Mode::Exit, "3"),
        (Mode::SegvBeforeReady, "SEGV"),
        (Mode::NeverReady, "READY"),
    ] {
        dev.publish(&Behaviour::version("v2").mode(mode));
        dev.reload().expect_failure().expect_mention(&[reason]);
    }
    let seen = watcher.finish();
    seen.expect_lossless();
    assert_eq!(seen.versions(), ["v1"]);
}

#[test]
fn where_nothing_can_serve_a_page_says_so_until_a_build_can() {
    let bad = Behaviour::version("v1").mode(Mode::Exit);
    let dev = Dev::open("held", Publish::Rename, &bad);
    dev.wait_for_status(503, Duration::from_secs(10));
    let watcher = dev.watch();
    dev.publish(&Behaviour::version("v2"));
    dev.wait_for_version("v2", TAKEN_OVER);
    let seen = watcher.finish();
    seen.expect_never_refused();
    let cut = |sample: &&&Sample| sample.outcome != Outcome::Status(503);
    assert_eq!(seen.failed().iter().filter(cut).count(), 0);
}

#[test]
fn a_release_that_served_before_can_be_brought_back() {
    let dev = Dev::start("back", Publish::Rename, &Behaviour::version("v1"));
    dev.publish(&Behaviour::version("v2"));
    let _ = dev.reload().expect_success();
    dev.wait_for_version("v2", TAKEN_OVER);
    let watcher = dev.watch();
    let _ = dev.rollback(&[]).expect_success();
    dev.wait_for_version("v1", TAKEN_OVER);
    dev.rollback(&["9"])
        .expect_failure()
        .expect_mention(&["nothing is known of a generation 9"]);
    watcher.finish().expect_lossless();
}

#[test]
fn a_build_that_crashes_after_ready_gives_way_to_the_last_good_one() {
    let dev = Dev::start("crash", Publish::Rename, &Behaviour::version("v1"));
    let after = Duration::from_millis(100);
    dev.publish(&Behaviour::version("v2").mode(Mode::SegvAfterReady { after }));
    let watcher = dev.watch();
    // It answers between its crashes, if only for a moment.
    let _ = dev.reload().expect_success();
    portkeep_tests::wait_until("it gave way", Duration::from_secs(20), || {
        let history = dev.portkeep(&["history", "crash", "--json"]).stdout;
        history.contains("fell-back").then_some(())
    });
    dev.wait_for_version("v1", TAKEN_OVER);
    watcher.finish().expect_lost_by_kills(3);
    let watcher = dev.watch();
    thread::sleep(Duration::from_secs(1));
    let seen = watcher.finish();
    seen.expect_lossless();
    assert_eq!(seen.versions(), ["v1"]);
}

#[test]
fn the_last_of_many_builds_serves() {
    let dev = Dev::start("rapid", Publish::HardLink, &Behaviour::version("v0"));
    let watcher = dev.watch();
    for number in 1..=200_u64 {
        dev.publish(&Behaviour::version(format!("v{number}")));
        thread::sleep(Duration::from_millis(number * 7 % 11));
    }
    dev.wait_for_version("v200", TAKEN_OVER);
    watcher.finish().expect_lossless();
}

#[test]
fn its_last_lines_are_shown_with_their_generation() {
    let dev = Dev::start("wrote", Publish::Rename, &Behaviour::version("v1"));
    dev.publish(&Behaviour::version("v2").mode(Mode::Exit));
    let _ = dev.reload().expect_failure();
    let words = "this build exits with 3";
    let shown = dev.portkeep(&["logs", "wrote"]).expect_success();
    assert!(
        shown
            .stdout
            .lines()
            .any(|line| line.contains("2  probe: ") && line.ends_with(words)),
        "{shown}"
    );
    let first = dev
        .portkeep(&["logs", "wrote", "-g", "1", "--json"])
        .expect_success();
    assert!(!first.stdout.contains(words), "{first}");
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let dev = Dev::start("end", Publish::Rename, &Behaviour::version("v1"));
    let process = dev.answering_process();
    let address = dev.address();
    dev.interrupt();
    assert!(!process.exists(), "{} still runs", process.display());
    let outcome = portkeep_tests::request(address, "/", Duration::from_secs(1));
    assert_eq!(outcome, Outcome::Refused);
}

/// Clients that come about as often as an idle app ends: none is refused, all are answered.
#[test]
fn an_idle_app_ends_and_the_next_connection_starts_it() {
    let more = serde_json::json!({ "idleExit": "150ms" });
    let dev = Dev::start_with("rests", Publish::Rename, &Behaviour::version("v1"), more);
    let first = dev.answering_process();
    wait_until("it has ended by itself", Duration::from_secs(20), || {
        (!first.exists()).then_some(())
    });
    // Forty that come around the moment of the end, and more until it was hit often enough.
    let (mut moment, mut slowest) = (Moment::around(Duration::from_millis(150)), Duration::ZERO);
    while moment.clients() < 40 || moment.hits() < 10 {
        moment.wait();
        let began = Instant::now();
        let process = dev.answering_process();
        slowest = slowest.max(began.elapsed());
        moment.served_by(process);
    }
    println!("measured: {moment} of an app that rests after 150 ms, slowest {slowest:?}");
}
