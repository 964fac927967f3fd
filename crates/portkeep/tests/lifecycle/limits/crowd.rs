//! More connections than may be.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::{readable, short};
use crate::client::{Client, get};
use crate::manager::{PATIENCE, Process, Setup, listener};

/// Several looks of the server at its connections, with the shortest limit of these tests.
const LOOKS: Duration = Duration::from_millis(500);

fn descriptors(process: &Process) -> usize {
    let directory = format!("/proc/{}/fd", process.id());
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn those_that_are_idle_for_longest_make_room() {
    let (listener, address) = listener();
    // A limit that no request here meets has the server look at its connections often.
    let setup = short(Setup::http(&listener), &["BODY"]).set("PORTKEEP_LIMIT_CONNECTIONS", 8);
    let mut process = setup.start_ready();
    let connect = || Client::connect(address).unwrap();
    let mut clients: Vec<_> = (0..8).map(|_| connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        assert!(!client.get("/").unwrap().close);
        if number == 0 {
            // The time that it is idle is known to some looks.
            thread::sleep(LOOKS);
        }
    }
    let mut late = connect();
    late.get("/").unwrap();
    let mut rest = clients.split_off(1);
    clients[0].ended().unwrap();
    for client in &mut rest {
        assert!(!client.get("/").unwrap().close);
    }
    drop((clients, rest, late));
    process.drain();
    let report = process.report();
    assert!(report.contains("; limits ended 1: 1 crowded"), "{report}");
}

/// Nothing that is busy ends for it, and nobody is refused.
#[test]
fn when_all_are_busy_the_next_one_waits() {
    let (listener, address) = listener();
    let setup = short(Setup::http(&listener), &[]).set("PORTKEEP_LIMIT_CONNECTIONS", 4);
    let mut process = setup.start_ready();
    let mut busy = Vec::new();
    // One more than may be has been accepted when it is counted.
    for _ in 0..5 {
        let mut client = Client::connect(address).unwrap();
        client.send(get("/stream/3000")).unwrap();
        // It is busy: the server has read its request.
        client.head().unwrap();
        assert_eq!(client.chunk().unwrap(), b"start ");
        busy.push(client);
    }
    let mut late: Vec<_> = (0..2).map(|_| Client::connect(address).unwrap()).collect();
    for client in &mut late {
        client.send(get("/")).unwrap();
    }
    process.logged("new ones wait in the queue");
    assert!(!late.iter().any(readable), "there was no room for it");
    for client in &mut busy {
        assert_eq!(client.chunk().unwrap(), b"end");
        assert!(client.chunk().unwrap().is_empty());
    }
    for client in &mut late {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    drop((busy, late));
    process.drain();
    assert!(process.report().contains("nothing cut"));
}

/// As many as this process may open. Each is accepted in its turn, and the server has never more than it may.
#[test]
fn a_crowd_of_silent_clients_keeps_nobody_out() {
    const MOST: usize = 500;
    let (listener, address) = listener();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let many = limit.map_or(20_000, |limit| (limit as usize / 2).clamp(MOST, 20_000));
    let setup = short(Setup::http(&listener), &[]).set("PORTKEEP_LIMIT_CONNECTIONS", MOST);
    let process = setup.start_ready();
    let beside = descriptors(&process);
    let mut crowd = Vec::new();
    for number in 0..many {
        crowd.push(Client::connect(address).unwrap());
        if number % 250 == 0 {
            // Also in between.
            assert_eq!(
                Client::connect(address).unwrap().get("/").unwrap().status,
                200
            );
            let has = descriptors(&process);
            assert!(has <= beside + MOST + 10, "{has} with {number} clients");
        }
    }
    let mut late = Client::connect(address).unwrap();
    assert_eq!(late.get("/").unwrap().status, 200);
    println!("measured: {many} silent clients of a server for {MOST}");
    // When they are gone, nothing of them is left.
    drop(crowd);
    let deadline = Instant::now() + PATIENCE;
    while descriptors(&process) > beside + 1 {
        assert!(Instant::now() < deadline, "{}", process.story());
        thread::sleep(Duration::from_millis(10));
    }
    late.get("/").unwrap();
}
