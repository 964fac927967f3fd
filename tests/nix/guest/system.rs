//! Switches of the system manager.

mod checks;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::command::run;
use portkeep_tests::{Connections, Load, Outcome, request, wait_until};

use crate::installed::Installed;
use crate::{ANSWER, RELEASES, address, version};

#[test]
fn a_switch_is_a_handover_and_nothing_is_lost() {
    let mut app = Installed::new("nixed");
    app.switch_to("v1");
    assert_eq!(app.property(".service", "ActiveState"), "inactive");
    assert_eq!(version(), "v1", "the first connection starts it");
    let opened = app.property(".socket", "ActiveEnterTimestampMonotonic");

    for connections in [Connections::KeepAlive, Connections::OnePerRequest] {
        let mut load = Load::new(address(), Duration::from_secs(12), connections).start();
        let start = Instant::now();
        for (number, release) in (1..).zip(["v2", "v3", "v4", "v5", "v1"]) {
            thread::sleep(
                (start + Duration::from_secs(2) * number).saturating_duration_since(Instant::now()),
            );
            assert!(app.switch_to(release), "the switch to {release} failed");
            wait_until("the new release answers", Duration::from_secs(1), || {
                (version() == release).then_some(())
            });
        }
        assert!(load.is_running(), "the load ended by itself");
        let report = load.finish();
        println!(
            "measured: 5 switches, {connections:?}: {} requests, {} failed, slowest {:?}",
            report.requests, report.failed, report.slowest
        );
        report.expect_lossless(1000);
    }
    assert_eq!(
        app.property(".socket", "ActiveEnterTimestampMonotonic"),
        opened
    );
}

#[test]
fn a_release_that_does_not_start_fails_the_switch_and_the_old_one_serves_on() {
    let mut app = Installed::new("nixed");
    app.switch_to("v1");
    assert_eq!(version(), "v1");
    assert!(serves("v1").code == Some(0), "{:?}", serves("v1"));
    assert!(!app.switch_to("broken"));
    assert_eq!(version(), "v1");
    assert_eq!(app.property(".service", "ActiveState"), "active");
    // The next, equal switch reloads nothing. The module has a unit that asks this, at the end of each.
    serves("broken").expect_failure().expect_mention(&[
        "what is installed does not serve",
        "what served before serves on",
    ]);
    if app.directory.join("portkeep-serves-nixed.service").exists() {
        assert!(!app.switch_to("broken"));
        assert!(app.failed_units().contains("portkeep-serves-nixed.service"));
    }
    assert!(app.switch_to("v2"));
    assert_eq!(version(), "v2");
    assert!(serves("v2").code == Some(0));
}

/// The handle's start is a success, and what serves is the holding page.
#[test]
fn a_first_release_that_does_not_start_is_told() {
    // Else it would fall back to what a test before this one has left.
    let _ = fs::remove_dir_all("/var/lib/portkeep/nixed");
    let mut app = Installed::new("nixed");
    assert!(app.switch_to("broken"), "nobody has asked for it yet");
    let _ = app.manager.systemctl(&["start", "nixed.service"]);
    assert_eq!(app.property("-holding.service", "ActiveState"), "active");
    serves("broken")
        .expect_failure()
        .expect_mention(&["holding page answers"]);
    if app.directory.join("portkeep-serves-nixed.service").exists() {
        assert!(!app.switch_to("broken"));
    }
    assert!(app.switch_to("v1"));
    assert_eq!(version(), "v1");
}

/// What the unit of the module calls.
fn serves(release: &str) -> portkeep_tests::command::Finished {
    let unit = fs::read_to_string(Path::new(RELEASES).join(release).join("nixed.service")).unwrap();
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecReload="));
    let words: Vec<_> = line.unwrap().split(' ').collect();
    run(words[0], ["handle", "serves", "nixed", "--spec", words[5]])
}

/// systemd merges the reload into the start that is under way.
#[test]
fn a_switch_while_the_handle_starts_serves_the_new_release() {
    let mut app = Installed::new("nixed");
    app.switch_to("slow");
    app.systemctl(&["start", "--no-block", "nixed.service"]);
    let starting = [
        "list-units",
        "--plain",
        "--no-legend",
        "--state=activating",
        "nixed@*",
    ];
    wait_until("the slow one starts", ANSWER, || {
        (!app.manager.systemctl(&starting).stdout.is_empty()).then_some(())
    });
    assert!(app.switch_to("v2"), "the switch failed");
    assert_eq!(version(), "v2");
}

#[test]
fn connections_move_again_after_they_did_not_for_a_while() {
    let mut app = Installed::new("nixed");
    app.switch_to("v1");
    assert_eq!(version(), "v1");
    let socket = |app: &Installed| app.property("-move.socket", "ActiveState");
    assert!(app.switch_to("without-move"));
    assert_eq!((&*version(), &*socket(&app)), ("v3", "inactive"));
    assert!(app.switch_to("v4"));
    assert_eq!((&*version(), &*socket(&app)), ("v4", "active"));
    let clients = portkeep_tests::Steady::start(address(), &[(20, Duration::from_millis(10))]);
    assert!(app.switch_to("v5"));
    wait_until("the new release answers", ANSWER, || {
        (version() == "v5").then_some(())
    });
    wait_until("the old one has ended", ANSWER, || {
        (app.property("@3.service", "ActiveState") == "inactive").then_some(())
    });
    clients.finish().expect_all(20);
}

#[test]
fn the_spec_reaches_the_app() {
    let mut app = Installed::new("nixed");
    app.switch_to("v1");
    let variable = request(address(), "/env/RELEASE", ANSWER).expect_answer();
    assert_eq!(variable.body, "\"v1\"");
    let arguments = request(address(), "/args", ANSWER).expect_answer();
    assert_eq!(arguments.body, "[\"--release\",\"v1\"]");
}

#[test]
fn kept_releases_survive_a_garbage_collection() {
    let mut app = Installed::new("nixed");
    for release in ["v3", "v4", "v5"] {
        app.switch_to(release);
        assert_eq!(version(), release);
    }
    // keepGenerations is 2.
    let roots = run("nix-store", ["--gc", "--print-roots"])
        .expect_success()
        .stdout;
    let rooted = |release: &str| {
        let path = format!("-probe-{release}");
        let ours = |line: &&str| {
            line.starts_with("/var/lib/portkeep/nixed/gcroots/") && line.contains(&path)
        };
        roots.lines().find(ours).is_some()
    };
    assert!(rooted("v5") && rooted("v4"), "{roots}");
    assert!(!rooted("v3"), "{roots}");
}

#[test]
fn a_removed_app_closes_its_port_and_leaves_nothing_running() {
    let mut app = Installed::new("nixed");
    app.switch_to("v1");
    assert_eq!(version(), "v1");
    // A switch stops what was removed unit by unit, in any order, and goes on where a unit refuses.
    for unit in [".socket", "@1.service", ".service", ".target"] {
        let _ = app.manager.systemctl(&["stop", &format!("nixed{unit}")]);
    }
    let running = ["list-units", "--no-legend", "--state=active", "nixed*"];
    wait_until("nothing runs", ANSWER, || {
        let left = app.manager.systemctl(&running).stdout;
        left.is_empty().then_some(())
    });
    assert_eq!(request(address(), "/", ANSWER), Outcome::Refused);
}
