//! Thousands of HTTP/2 connections in one handover, and a next generation that is killed in the middle of it.
//!
//! A minute on a busy machine: `tests/run clients` runs them.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use super::World;
use super::http2::{EMPTY, PLAIN, address, raw_ask, send};
use super::many::{allow_descriptors, descriptors};
use super::midway::moved;
use crate::http2::{GOAWAY, PING, SETTINGS, read_until, try_read_until};
use crate::manager::{PATIENCE, Process};
use crate::probe;

const BESIDES: usize = 800;

/// Each has had a request, and has no table.
fn connections(world: &World, count: usize) -> Vec<TcpStream> {
    let mut sockets: Vec<_> = (0..count)
        .map(|_| {
            let mut socket = TcpStream::connect(address(world)).unwrap();
            socket.set_read_timeout(Some(3 * PATIENCE)).unwrap();
            // Else each second small write waits 40 ms for the kernel's acknowledgement of the first.
            socket.set_nodelay(true).unwrap();
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
            socket.write_all(preface).unwrap();
            // It was accepted. Of more than wait in the listener's queue, the kernel drops some, and sends again after seconds.
            read_until(&mut socket, SETTINGS);
            socket
        })
        .collect();
    for socket in &mut sockets {
        send(socket, SETTINGS, 1, 0, &[]);
        raw_ask(socket, 1, EMPTY);
    }
    sockets
}

fn start(world: &World, connections: usize) -> Process {
    // Longer than this process takes to ask on each.
    let setup = world.setup().set(probe::LINGER, 15_000);
    let setup = setup.set(probe::DRAIN, 120_000);
    let limit = u32::try_from(connections + BESIDES).unwrap();
    setup.open_files(limit).start_ready()
}

#[test]
#[ignore = "takes a minute; `tests/run clients` runs it"]
fn ten_thousand_move() {
    const MANY: usize = 10_000;
    allow_descriptors(MANY + BESIDES);
    let world = World::new();
    let mut old = start(&world, MANY);
    let mut sockets = connections(&world, MANY);
    let new = start(&world, MANY);
    let began = old.drain();
    let report = old.report();
    println!(
        "measured: {MANY} HTTP/2 connections, drained in {:.1?}: {report}",
        began.elapsed()
    );
    assert!(
        report.contains("10000 moved, 0 idle closed, nothing cut"),
        "{report}"
    );
    let new = new.id().to_string();
    for socket in &mut sockets {
        assert_eq!(raw_ask(socket, 3, PLAIN), new);
    }
}

/// What it had acknowledged dies with it; every other connection is served, and told the truth when it ends.
#[test]
#[ignore = "takes a while; `tests/run clients` runs it"]
fn one_that_is_killed_takes_only_what_it_owned() {
    const MANY: usize = 3000;
    const MIDWAY: usize = 300;
    allow_descriptors(MANY + BESIDES);
    let world = World::new();
    let mut old = start(&world, MANY);
    let mut sockets = connections(&world, MANY);
    let new = start(&world, MANY);
    let before = descriptors(&new);
    old.signal(Signal::TERM);
    let deadline = Instant::now() + PATIENCE;
    while descriptors(&new) < before + MIDWAY {
        assert!(Instant::now() < deadline, "nothing moves\n{}", old.story());
        thread::yield_now();
    }
    new.signal(Signal::KILL);
    // Those that are left are told to end; all are, before any is waited for.
    let mut left = Vec::new();
    for mut socket in sockets.drain(..) {
        // Those of the one that was killed end without a word.
        if let Ok((_, _, _, last)) = try_read_until(&mut socket, GOAWAY) {
            assert_eq!(last[..4], [0x7f, 0xff, 0xff, 0xff]);
            let (_, _, _, ping) = read_until(&mut socket, PING);
            send(&mut socket, PING, 1, 0, &ping);
            left.push(socket);
        }
    }
    for socket in &mut left {
        let (_, _, _, last) = read_until(socket, GOAWAY);
        assert_eq!(last[..8], [0, 0, 0, 1, 0, 0, 0, 0]);
    }
    let served = left.len();
    drop(left);
    let report = old.report();
    println!(
        "measured: next generation killed: {served} of {MANY} HTTP/2 connections end well; {report}"
    );
    assert_eq!(moved(&report), MANY - served, "{report}");
    assert!(served > 0 && served < MANY - MIDWAY / 2, "{served}");
}
