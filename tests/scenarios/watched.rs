//! A build that appears starts by itself. Watching is for development, so this is for user managers only:
//! the system manager gets no path unit.
//!
//! systemd's path units lose changes that are made while the triggered unit runs: without the
//! re-check, half of the runs with rapid changes ended with an old build.

use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::machine::expect_shorter;
use portkeep_tests::{App, Behaviour, Measurement, Publish, wait_until};

use crate::latency::{LIMIT, TIMES, first_answer};

const CHANGES: u64 = 200;

#[test]
fn the_last_of_many_builds_serves_hard_linked_as_cargo_does() {
    last_one_serves("rapid-link", Publish::HardLink);
}

#[test]
fn the_last_of_many_builds_serves_renamed_into_place() {
    last_one_serves("rapid-rename", Publish::Rename);
}

#[test]
fn the_last_of_many_builds_serves_by_a_replaced_result_symlink() {
    last_one_serves("rapid-result", Publish::ResultLink);
}

fn last_one_serves(name: &str, way: Publish) {
    let app = App::named(name)
        .published_by(way)
        .watched()
        .serve(&Behaviour::version("v0"));

    let watcher = app.watch();
    for number in 1..=CHANGES {
        app.publish(&Behaviour::version(format!("v{number}")));
        // Uneven pauses of 0 to 10 ms, so that changes fall into every phase of a reload.
        thread::sleep(Duration::from_millis(number * 7 % 11));
    }
    app.wait_for_version(&format!("v{CHANGES}"), Duration::from_secs(10));
    watcher.finish().expect_lossless();
}

#[test]
fn from_a_published_artifact_to_the_first_new_answer() {
    expect_shorter("artifact published to first new answer", LIMIT, median);
}

fn median() -> Duration {
    let app = App::named("published")
        .published_by(Publish::HardLink)
        .watched()
        .serve(&Behaviour::version("v0"));
    let mut measurement = Measurement::default();
    for number in 1..=TIMES {
        let version = format!("v{number}");
        app.publish(&Behaviour::version(&version));
        measurement.add(first_answer(&app, &version, Instant::now()));
        settled(&app);
    }
    measurement.report("artifact published to first new answer");
    measurement.median()
}

/// Waits until no unit of the app works on the last change any more.
fn settled(app: &App) {
    wait_until("the deploy has ended", Duration::from_secs(10), || {
        let busy = |suffix| {
            let state = app.manager().property(&app.unit(suffix), "ActiveState");
            state == "activating" || state == "reloading"
        };
        let busy = busy("-deploy.service") || busy("-recheck.service");
        (!busy && app.generations().len() == 1).then_some(())
    });
}
