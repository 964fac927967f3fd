//! Clients that do not keep the limits, each in its own way; and those that do, and stay.

mod crowd;
mod http2;
mod travelling;

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, get};
use crate::manager::{PATIENCE, Process, Setup, listener};
use crate::probe;

/// Long enough for a busy machine to ask twice, short enough to wait for.
const SHORT: &str = "700000";
const SHORT_TIME: Duration = Duration::from_millis(700);

const ALL: [&str; 4] = ["IDLE", "HEAD", "BODY", "ANSWER"];

/// Each of these limits is short, all others are off.
fn short(setup: Setup, limits: &[&str]) -> Setup {
    let off = ALL.iter().filter(|name| !limits.contains(name));
    let values = off.map(|name| (name, "off"));
    let values = values.chain(limits.iter().map(|name| (name, SHORT)));
    values.fold(setup, |setup, (name, value)| {
        setup.set(&format!("PORTKEEP_LIMIT_{name}_USEC"), value)
    })
}

fn server(limits: &[&str]) -> (TcpListener, SocketAddr, Process) {
    let (listener, address) = listener();
    let process = short(Setup::http(&listener), limits).start_ready();
    (listener, address, process)
}

/// Ends a process that a limit has made end `ended` connections.
#[track_caller]
fn report(process: &mut Process, ended: &str) {
    process.drain();
    let report = process.report();
    assert!(
        report.contains(&format!("; limits ended {ended}")),
        "{report}"
    );
    assert!(report.contains("nothing cut"), "{report}");
}

#[test]
fn one_that_is_idle_ends_in_good_order() {
    let (_listener, address, mut process) = server(&["IDLE"]);
    let mut client = Client::connect(address).unwrap();
    // As long as it asks, it stays.
    let began = Instant::now();
    while began.elapsed() < 2 * SHORT_TIME {
        assert!(!client.get("/").unwrap().close);
        thread::sleep(SHORT_TIME / 20);
    }
    let last = Instant::now();
    client.ended().unwrap();
    assert!(last.elapsed() >= SHORT_TIME / 2, "{:?}", last.elapsed());
    // Who has not begun is not idle.
    let mut silent = Client::connect(address).unwrap();
    thread::sleep(2 * SHORT_TIME);
    silent.get("/").unwrap();
    drop(silent);
    process.notified("STATUS=serving on");
    process.notified("; limits ended 1: 1 idle");
    report(&mut process, "1: 1 idle");
}

#[test]
fn a_head_that_does_not_end_is_refused() {
    let (_listener, address, mut process) = server(&["HEAD"]);
    // From the beginning, and on a connection that was used.
    for used in [false, true] {
        let mut client = Client::connect(address).unwrap();
        if used {
            client.get("/").unwrap();
            thread::sleep(2 * SHORT_TIME);
        }
        let deadline = Instant::now() + PATIENCE;
        client.send("GET / HTTP/1.1\r\nx-drip: ").unwrap();
        // A byte now and then makes it no longer.
        while client.send("x").is_ok() && !readable(&client) {
            assert!(Instant::now() < deadline, "it may go on for ever");
            thread::sleep(SHORT_TIME / 20);
        }
        let answer = client.answer().unwrap();
        assert_eq!((answer.status, answer.close), (408, true));
    }
    let mut silent = Client::connect(address).unwrap();
    silent.ended().unwrap();
    report(&mut process, "3: 3 head");
}

/// Whether something has come, without waiting.
fn readable(client: &Client) -> bool {
    let socket = client.socket.get_ref();
    socket.set_nonblocking(true).unwrap();
    let readable = socket.peek(&mut [0]).is_ok();
    socket.set_nonblocking(false).unwrap();
    readable
}

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn a_body_that_does_not_come_is_refused() {
    let (_listener, address, mut process) = server(&["BODY"]);
    let mut client = Client::connect(address).unwrap();
    client.send(post("/echo", 10)).unwrap();
    client.send("abc").unwrap();
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.close), (408, true));
    client.ended().unwrap();

    // Slowly is no reason, nor what the app does when it has everything.
    let mut client = Client::connect(address).unwrap();
    client.send(post("/echo/2000", 20)).unwrap();
    for _ in 0..20 {
        thread::sleep(SHORT_TIME / 10);
        client.send("x").unwrap();
    }
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "20"));
    drop(client);
    report(&mut process, "1: 1 body");
}

#[test]
fn one_that_does_not_read_is_cut() {
    let (_listener, address, mut process) = server(&["ANSWER"]);
    let mut client = Client::connect_with_small_buffer(address).unwrap();
    client.send(get("/download")).unwrap();
    process.notified("; limits ended 1: 1 answer");
    drop(client);
    report(&mut process, "1: 1 answer");
}

/// The kernel's buffers take nothing for longer than the limit, while the client takes what is in them.
#[test]
fn one_that_reads_slowly_gets_everything() {
    let (_listener, address, mut process) = server(&["ANSWER"]);
    let mut client = Client::connect_with_small_buffer(address).unwrap();
    client.send(get("/download")).unwrap();
    let length = client.head().unwrap().2.unwrap();
    let mut left = length;
    let began = Instant::now();
    while left > 0 {
        // Slowly at first: some pieces of what the kernel has.
        let slow = began.elapsed() < 6 * SHORT_TIME;
        let mut piece = vec![0; left.min(if slow { 10_000 } else { 1 << 20 })];
        std::io::Read::read_exact(&mut client.socket, &mut piece).unwrap();
        left -= piece.len();
        if slow {
            thread::sleep(SHORT_TIME / 20);
        }
    }
    assert!(!client.get("/").unwrap().close);
    drop(client);
    process.drain();
    let report = process.report();
    assert!(!report.contains("limits ended"), "{report}");
}

/// With all limits short: what waits for the app is not idle.
#[test]
fn what_is_quiet_is_not_idle() {
    let (_listener, address, process) = server(&ALL);
    let mut events = Client::connect(address).unwrap();
    events.send(get("/quiet")).unwrap();
    events.head().unwrap();
    let mut slow = Client::connect(address).unwrap();
    slow.send(get("/slow/3000")).unwrap();
    let mut socket = Client::connect(address).unwrap();
    socket
        .send(
            "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    assert_eq!(socket.head().unwrap().0, 101);
    let answer = slow.answer().unwrap();
    assert_eq!((answer.status, answer.close), (200, false));
    // The idle one beside them is gone, so they were looked at.
    slow.ended().unwrap();
    process.notified("; limits ended 1: 1 idle");
    assert!(!readable(&events), "it has ended");
    // A text "hi", masked with zeros; it comes back.
    socket.send(b"\x81\x82\0\0\0\0hi").unwrap();
    let mut echo = [0; 4];
    std::io::Read::read_exact(&mut socket.socket, &mut echo).unwrap();
    assert_eq!(&echo, b"\x81\x02hi");
}

#[test]
fn one_that_is_too_old_hears_of_it_in_an_answer() {
    let (listener, address) = listener();
    let setup = short(Setup::http(&listener), &[]).set("PORTKEEP_LIMIT_AGE_USEC", SHORT);
    let mut process = setup.set(probe::LINGER, 500).start_ready();
    let mut idle = Client::connect(address).unwrap();
    idle.get("/").unwrap();
    let mut busy = Client::connect(address).unwrap();
    let began = Instant::now();
    while !busy.get("/").unwrap().close {
        assert!(
            began.elapsed() < PATIENCE,
            "it may become as old as it likes"
        );
        thread::sleep(SHORT_TIME / 50);
    }
    assert!(began.elapsed() >= SHORT_TIME / 2);
    busy.ended().unwrap();
    // One that asks nothing is closed after the linger time.
    idle.ended().unwrap();
    drop((idle, busy));
    report(&mut process, "1: 1 age");
}

/// Also one that the app cannot be started with; the rest of the environment is obeyed.
#[test]
fn a_variable_that_is_no_limit_is_told_and_not_used() {
    let (listener, address) = listener();
    let setup = Setup::http(&listener).set("PORTKEEP_LIMIT_IDLE_USEC", "0");
    let process = setup
        .set("PORTKEEP_LIMIT_CONNECTIONS", "none")
        .start_ready();
    process.logged("PORTKEEP_LIMIT_IDLE_USEC=0 is no limit");
    process.logged("PORTKEEP_LIMIT_CONNECTIONS=none is neither");
    Client::connect(address).unwrap().get("/").unwrap();
}
