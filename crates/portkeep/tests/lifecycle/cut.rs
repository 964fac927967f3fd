//! The end of patience: the deadline and the second signal.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Client, get};
use crate::manager::{Setup, listener};
use crate::probe;

#[test]
fn the_deadline_cuts_and_counts_by_kind() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener)
        .set(probe::DRAIN, 700)
        .set(probe::LINGER, 60_000)
        .start_ready();

    let _silent = Client::connect(address).unwrap();
    let mut upgraded = Client::connect(address).unwrap();
    upgraded
        .send("GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n")
        .unwrap();
    upgraded.head().unwrap();
    let mut busy: Vec<_> = (0..2).map(|_| Client::connect(address).unwrap()).collect();
    for client in &mut busy {
        client.send(get("/slow/60000")).unwrap();
    }
    let mut idle = Client::connect(address).unwrap();
    idle.get("/").unwrap();

    let began = process.drain();
    let report = process.report();
    assert!(
        report.contains("cut 5: 2 busy 1 upgraded 1 silent 1 idle"),
        "{report}\n{}",
        process.story()
    );
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(650), "{took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(busy[0].answer().is_err());
    assert!(process.logged("cut 5").contains("WARN"));
}

/// A handler that blocks its thread cannot be cut, but it cannot hold up the end either.
#[test]
fn a_blocking_handler_is_counted_as_busy() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener).set(probe::DRAIN, 300).start_ready();
    let mut client = Client::connect(address).unwrap();
    client.send(get("/block/60000")).unwrap();
    Client::connect(address).unwrap().get("/").unwrap();
    process.drain();
    assert!(process.report().contains("cut 1: 1 busy"));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::INT)] {
        let (listener, address) = listener();
        let mut process = Setup::http(&listener).start_ready();
        let mut client = Client::connect(address).unwrap();
        client.send(get("/stream/60000")).unwrap();
        client.head().unwrap();
        process.signal(first);
        process.notified("STOPPING=1");
        let again = Instant::now();
        process.signal(second);
        assert!(process.report().contains("cut 1: 1 busy"));
        assert!(again.elapsed() < Duration::from_secs(2));
    }
}
