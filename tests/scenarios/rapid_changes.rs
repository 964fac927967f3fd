//! Builds appear faster than they can be started; the last one serves in the end.
//!
//! systemd's path units lose changes that are made while the triggered unit runs: without the
//! re-check, half of such runs ended with an old build.

use std::thread;
use std::time::Duration;

use portkeep_tests::{App, Behaviour, Manager, Publish};

const CHANGES: u64 = 200;

#[test]
fn hard_linked_as_cargo_does() {
    last_one_serves("rapid-link", Publish::HardLink);
}

#[test]
fn renamed_into_place() {
    last_one_serves("rapid-rename", Publish::Rename);
}

#[test]
fn a_replaced_result_symlink() {
    last_one_serves("rapid-result", Publish::ResultLink);
}

fn last_one_serves(name: &str, way: Publish) {
    if Manager::of_this_process() == Manager::System {
        // Watching is for development: the system manager gets no path unit.
        return;
    }
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
    app.wait_for_version(&format!("v{CHANGES}"), Duration::from_secs(2));
    watcher.finish().expect_lossless();
}
