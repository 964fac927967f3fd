//! A next generation that fails when it has some of the connections: a real process, which has what it
//! has acknowledged, and nothing else.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::many::{allow_descriptors, descriptors};
use super::{World, served_and_lost, who};
use crate::client::{Client, get};
use crate::manager::{PATIENCE, Process};
use crate::probe;

/// Moving them takes long enough to interrupt it.
const CONNECTIONS: usize = 4000;
const LIMIT: usize = CONNECTIONS + 500;
/// After so many that have arrived. More are on their way, and in the window.
const MIDWAY: usize = 500;

/// One with many connections, and the next, which is READY.
fn generations() -> (World, Process, Process, Vec<Client>) {
    allow_descriptors(LIMIT);
    let world = World::new();
    let start = || {
        // Longer than this process takes to ask on each.
        let setup = world.setup().set(probe::LINGER, 15_000);
        setup.open_files(LIMIT as u32).start_ready()
    };
    let old = start();
    let clients = world.clients(CONNECTIONS);
    let new = start();
    (world, old, new, clients)
}

/// Asks the old one to end, and does something to the new one in mid-move. Returns how many
/// descriptors that had when it was over.
fn interrupt(old: &Process, new: &Process, with: Signal) -> usize {
    let before = descriptors(new);
    old.signal(Signal::TERM);
    let deadline = Instant::now() + PATIENCE;
    while descriptors(new) < before + MIDWAY {
        assert!(Instant::now() < deadline, "nothing moves\n{}", old.story());
    }
    new.signal(with);
    before
}

/// How many connections the old one says it has moved.
fn moved(report: &str) -> usize {
    let words: Vec<_> = report.split(' ').collect();
    let place = words
        .iter()
        .position(|word| word.starts_with("moved"))
        .unwrap();
    words[place - 1].parse().unwrap()
}

/// What dies with it is what it owned; every other connection is served, and told to go.
#[test]
fn one_that_is_killed_takes_only_what_it_owned() {
    let (_world, mut old, new, mut clients) = generations();
    interrupt(&old, &new, Signal::KILL);
    let (served, lost) = served_and_lost(&mut clients, &old);
    drop(clients);
    let report = old.report();
    assert_eq!(moved(&report), lost, "{served} served; {report}");
    assert!(
        lost >= MIDWAY - 1 && served > 0,
        "{lost} lost, {served} served"
    );
    println!(
        "measured: next generation killed: {served} of {CONNECTIONS} served on, {lost} were its own"
    );
}

/// The old one serves what the stopped one has not acknowledged while that is stopped, and the rest is
/// answered when it goes on: nothing is lost, nobody has a connection twice.
#[test]
fn one_that_is_stopped_loses_nothing() {
    let (_world, mut old, new, mut clients) = generations();
    let before = interrupt(&old, &new, Signal::STOP);
    new.stopped();
    let owned_at_most = descriptors(&new) - before;
    for client in &mut clients {
        client.send(get("/")).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while answered(&clients) < CONNECTIONS - owned_at_most {
        assert!(
            Instant::now() < deadline,
            "{} answers\n{}",
            answered(&clients),
            old.story()
        );
        thread::sleep(Duration::from_millis(20));
    }
    let served = answered(&clients);
    new.signal(Signal::CONT);
    let (mut here, mut there) = (0, 0);
    for client in &mut clients {
        let answer = client.answer().unwrap();
        match answer.body.parse::<u32>().unwrap() {
            id if id == old.id() => here += 1,
            id => {
                assert_eq!(id, new.id());
                assert!(!answer.close);
                there += 1;
            }
        }
    }
    assert_eq!(here, served, "{there} there");
    drop(clients);
    let report = old.report();
    assert_eq!(moved(&report), there, "{report}");
    assert!(there > 0, "{report}");
    println!(
        "measured: next generation stopped: {here} served on at once, {there} when it went on"
    );
}

/// Connections with bytes to read.
fn answered(clients: &[Client]) -> usize {
    let ready = |client: &&Client| {
        let socket = client.socket.get_ref();
        socket.set_nonblocking(true).unwrap();
        let ready = socket.peek(&mut [0]).is_ok();
        socket.set_nonblocking(false).unwrap();
        ready
    };
    clients.iter().filter(ready).count()
}

/// What does not fit into the new one stays with the old one.
#[test]
fn one_that_runs_out_of_descriptors_leaves_the_rest() {
    allow_descriptors(LIMIT);
    let world = World::new();
    let setup = || world.setup().set(probe::LINGER, 15_000);
    let mut old = setup().open_files(LIMIT as u32).start_ready();
    let mut clients = world.clients(CONNECTIONS);
    let new = setup().open_files(1000);
    let new = new.set("PORTKEEP_LIMIT_CONNECTIONS", "off").start_ready();
    old.signal(Signal::TERM);
    old.logged("cannot have a connection");
    let (mut here, mut there) = (0, 0);
    for client in &mut clients {
        let answer = client.get("/").unwrap();
        match answer.body.parse::<u32>().unwrap() {
            id if id == old.id() => here += 1,
            id => {
                assert_eq!(id, new.id());
                there += 1;
            }
        }
    }
    drop(clients);
    let report = old.report();
    assert_eq!(moved(&report), there, "{report}");
    assert!((900..1000).contains(&there), "{here} here, {there} there");
    // It has room again, and is well.
    assert_eq!(who(&mut world.client()), new.id());
    // One line, not one for each of thousands.
    let complaints = new.story().matches("WARN").count();
    assert!(complaints <= 2, "{complaints} lines");
}
