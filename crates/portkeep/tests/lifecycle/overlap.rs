//! Two processes on one listener: nothing is lost when one takes over from the other.

use std::collections::HashSet;
use std::time::Duration;

use crate::client::Client;
use crate::load::{Kind, Load};
use crate::manager::{Setup, listener};
use crate::probe;

/// Starts generations one after another under load, each taking over from the one before after
/// this many answers.
fn hand_over_under_load(kinds: &[(usize, Kind)], handovers: usize, answers: u64) {
    let (listener, address) = listener();
    let mut current = Setup::http(&listener).start_ready();
    let load = Load::start(address, kinds);
    let mut reports = Vec::new();
    for _ in 0..handovers {
        load.wait_for(answers);
        let next = Setup::http(&listener).start_ready();
        let mut old = std::mem::replace(&mut current, next);
        old.drain();
        reports.push(old.report());
    }
    load.wait_for(answers);
    let answered = load.answered();
    let outcome = load.stop();
    eprintln!(
        "{answered} answers on {} connections, {} failures; {reports:#?}",
        outcome.connections,
        outcome.failures.len()
    );
    assert_eq!(outcome.failures, Vec::<String>::new());
    for report in reports {
        assert!(report.contains("nothing cut"), "{report}");
    }
}

#[test]
fn keep_alive_clients_lose_nothing() {
    let hurried = Kind::KeepAlive(Duration::ZERO);
    let pausing = Kind::KeepAlive(Duration::from_micros(500));
    hand_over_under_load(&[(6, hurried), (10, pausing)], 10, 3000);
}

#[test]
fn clients_that_close_lose_nothing() {
    hand_over_under_load(&[(8, Kind::Close)], 10, 1500);
}

/// Clients that pause for so long that most are idle when the drain begins.
#[test]
fn slow_clients_lose_nothing() {
    let slow = Kind::KeepAlive(Duration::from_millis(700));
    let quick = Kind::KeepAlive(Duration::from_millis(1));
    hand_over_under_load(&[(40, slow), (4, quick)], 3, 1000);
}

#[test]
fn who_is_not_ready_does_not_accept() {
    let (listener, address) = listener();
    let old = Setup::http(&listener).start_ready();
    let directory = tempfile::tempdir().unwrap();
    let gate = directory.path().join("gate");
    let new = Setup::http(&listener)
        .set(probe::GATE, gate.display())
        .start();
    new.notified("STATUS=waiting for the app's checks");

    let answering = |count: usize| -> HashSet<String> {
        let ask = |_| Client::connect(address).unwrap().get("/").unwrap().body;
        (0..count).map(ask).collect()
    };
    assert_eq!(answering(300), HashSet::from([old.id().to_string()]));
    assert!(!new.has_notified("READY=1"));

    std::fs::write(&gate, "").unwrap();
    new.notified("READY=1");
    old.drain();
    assert_eq!(answering(300), HashSet::from([new.id().to_string()]));
}
