//! What the service manager hears, and when.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Client, get};
use crate::manager::{PATIENCE, Process, Setup, listener};
use crate::probe;

#[test]
fn ready_once_and_stopping_only_after_the_signal() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener).start_ready();
    let mut client = Client::connect(address).unwrap();
    client.get("/").unwrap();
    let address = format!("STATUS=serving on {address} (http)");
    process.notified(&address);
    assert!(!process.has_notified("STOPPING=1"));

    process.drain();
    process.notified("EXTEND_TIMEOUT_USEC=15000000");
    process.notified("STATUS=draining, 0 requests in flight, 1 connections left");
    client.get("/").unwrap();
    drop(client);
    process.report();
    let lines: Vec<_> = process
        .notifications()
        .into_iter()
        .map(|(_, line)| line)
        .collect();
    let count = |what: &str| lines.iter().filter(|line| *line == what).count();
    assert_eq!(count("READY=1"), 1, "{lines:#?}");
    assert_eq!(count("STOPPING=1"), 1, "{lines:#?}");
    // A main process does not end its own watchdog or move its own identity.
    assert!(!lines.iter().any(|line| line.starts_with("MAINPID")));
}

#[test]
fn a_failed_check_is_an_error_and_never_ready() {
    let (listener, _) = listener();
    let mut process = Setup::http(&listener).set(probe::FAIL, 1).start();
    assert!(!process.exited().success());
    process.logged("ERROR not ready: a check of the app failed");
    process.logged("CAUSE the database is away");
    assert!(!process.has_notified("READY=1"));
}

#[test]
fn a_signal_before_ready_ends_it_cleanly() {
    let (listener, _) = listener();
    let mut process = Setup::http(&listener)
        .set(probe::GATE, "/nonexistent/gate")
        .start();
    process.notified("STATUS=waiting for the app's checks");
    process.signal(Signal::TERM);
    assert!(process.exited().success(), "{}", process.story());
    assert!(!process.has_notified("READY=1"));
    assert!(!process.has_notified("STOPPING=1"));
}

fn pings(process: &Process) -> Vec<Instant> {
    let pings = process.notifications().into_iter();
    pings
        .filter(|(_, line)| line == "WATCHDOG=1")
        .map(|(when, _)| when)
        .collect()
}

fn longest_pause(pings: &[Instant]) -> Duration {
    let pauses = pings.windows(2).map(|pair| pair[1] - pair[0]);
    pauses.max().unwrap()
}

#[test]
fn the_watchdog_is_pinged_at_half_its_interval_also_while_draining() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener)
        .set("WATCHDOG_USEC", 1_000_000)
        .start_ready();
    let mut client = Client::connect(address).unwrap();
    client.send(get("/slow/2500")).unwrap();
    Client::connect(address).unwrap().get("/").unwrap();
    let began = process.drain();
    client.answer().unwrap();
    process.report();
    let pings = pings(&process);
    assert!(pings.len() >= 5, "{}", process.story());
    let longest = longest_pause(&pings);
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    assert!(pings.iter().any(|ping| *ping > began));
}

#[test]
fn a_watchdog_of_another_process_is_not_pinged() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener)
        .set("WATCHDOG_USEC", 100_000)
        .set("WATCHDOG_PID", 1)
        .start_ready();
    Client::connect(address).unwrap().get("/slow/500").unwrap();
    process.drain();
    process.report();
    assert!(pings(&process).is_empty());
}

fn wait_for_pings(process: &Process, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while pings(process).len() < count {
        assert!(Instant::now() < deadline, "{}", process.story());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Both worker threads blocked: nothing inside the runtime runs, so nothing is sent.
#[test]
fn a_hung_runtime_stops_pinging() {
    let (listener, address) = listener();
    let process = Setup::http(&listener)
        .set("WATCHDOG_USEC", 200_000)
        .start_ready();
    wait_for_pings(&process, 2);
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(address).unwrap()).collect();
    for client in &mut clients {
        client.send(get("/block/2000")).unwrap();
    }
    for client in &mut clients {
        client.answer().unwrap();
    }
    wait_for_pings(&process, pings(&process).len() + 1);
    let longest = longest_pause(&pings(&process));
    assert!(longest > Duration::from_millis(1500), "{longest:?}");
}
