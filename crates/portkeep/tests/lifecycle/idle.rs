//! A process that nobody asks anything ends, and the next connection starts it again.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::{Client, get};
use crate::load::{Kind, Load};
use crate::manager::{Setup, listener};

const IDLE: &str = "PORTKEEP_IDLE_EXIT_USEC";

/// Half a second.
fn setup(listener: &TcpListener) -> Setup {
    Setup::http(listener).set(IDLE, 500_000)
}

#[test]
fn it_ends_when_nothing_was_asked_for_long_enough() {
    let (listener, address) = listener();
    let mut process = setup(&listener).start_ready();
    let mut client = Client::connect(address).unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1500) {
        assert!(!client.get("/").unwrap().close);
        thread::sleep(Duration::from_millis(100));
    }
    let last = Instant::now();
    // The idle connection is closed in good order.
    client.ended().unwrap();
    drop(client);
    let report = process.report();
    let took = last.elapsed();
    assert!(report.contains("1 idle closed, nothing cut"), "{report}");
    assert!(
        (Duration::from_millis(350)..Duration::from_secs(3)).contains(&took),
        "{took:?}"
    );
    // It was not asked to.
    assert!(!process.has_notified("STOPPING=1"));
}

#[test]
fn a_long_request_and_an_upgraded_connection_keep_it() {
    let (listener, address) = listener();
    let mut process = setup(&listener).start_ready();
    let mut slow = Client::connect(address).unwrap();
    for path in ["/slow/2000", "/stream/2000"] {
        assert!(!slow.get(path).unwrap().close, "{path}");
    }
    let mut upgraded = Client::connect(address).unwrap();
    upgraded
        .send("GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n")
        .unwrap();
    upgraded.head().unwrap();
    thread::sleep(Duration::from_millis(1500));
    assert!(!slow.get("/").unwrap().close, "it has not ended");
    drop(upgraded);
    slow.ended().unwrap();
    drop(slow);
    assert!(process.report().contains("nothing cut"));
}

/// One that never answers a ping must not keep new clients waiting.
#[test]
fn a_client_that_does_not_listen_holds_nobody_up() {
    let (listener, address) = listener();
    let mut process = setup(&listener).start_ready();
    let mut deaf = Client::connect(address).unwrap();
    deaf.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    Client::connect(address).unwrap().get("/").unwrap();
    let began = Instant::now();
    let report = process.report();
    let took = began.elapsed();
    assert!(report.contains("cut 1: 1 HTTP/2"), "{report}");
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn one_that_holds_its_own_port_stays() {
    let (listener, address) = listener();
    drop(listener);
    let process = Setup::new()
        .set("PORTKEEP_LISTEN", address)
        .set(IDLE, 100_000)
        .start_ready();
    process.logged("does not end when idle");
    thread::sleep(Duration::from_millis(600));
    Client::connect(address).unwrap().get("/").unwrap();
}

/// As a service manager does it: whenever somebody waits and nothing runs, it is started.
struct OnDemand {
    stop: Arc<AtomicBool>,
    manager: thread::JoinHandle<u32>,
}

impl OnDemand {
    fn start(
        listener: TcpListener,
        setup: impl Fn(&TcpListener) -> Setup + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let manager = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut starts = 0;
                loop {
                    let step = Timespec {
                        tv_sec: 0,
                        tv_nsec: 20_000_000,
                    };
                    let mut waits = [PollFd::new(&listener, PollFlags::IN)];
                    if poll(&mut waits, Some(&step)).unwrap() > 0 {
                        starts += 1;
                        let mut process = setup(&listener).start();
                        let report = process.report();
                        assert!(report.contains("nothing cut"), "{report}");
                    } else if stop.load(Ordering::SeqCst) {
                        return starts;
                    }
                }
            }
        });
        Self { stop, manager }
    }

    /// How often the process was started.
    fn finish(self) -> u32 {
        self.stop.store(true, Ordering::SeqCst);
        self.manager.join().unwrap()
    }
}

/// Clients that come about as often as the process ends.
#[test]
fn who_comes_in_the_moment_of_the_end_is_served_by_the_next() {
    let (listener, address) = listener();
    let manager = OnDemand::start(listener, |listener| Setup::http(listener).set(IDLE, 20_000));
    let (mut slowest, mut starts, mut clients) = (Duration::ZERO, 0, 0);
    // Around the time that ends it: later while it is still there, earlier when it has ended. On a busy machine it takes more
    // clients until it has ended often enough.
    let (mut pause, mut last) = (20_000, String::new());
    let deadline = Instant::now() + Duration::from_secs(120);
    while clients < 300 || starts <= 20 {
        assert!(
            Instant::now() < deadline,
            "{clients} clients, {starts} starts: it seldom ended"
        );
        thread::sleep(Duration::from_micros(pause + clients * 7919 % 5000));
        let began = Instant::now();
        let mut client = Client::connect(address).unwrap();
        client
            .send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .unwrap();
        let answer = client.answer().unwrap();
        assert_eq!(answer.status, 200);
        client.ended().unwrap();
        slowest = slowest.max(began.elapsed());
        clients += 1;
        // It tells its process.
        if answer.body == last {
            pause = pause * 11 / 10;
        } else {
            starts += 1;
            pause = (pause * 8 / 10).max(10_000);
        }
        last = answer.body;
    }
    println!("measured: {clients} clients, {starts} starts, slowest {slowest:?}");
    assert!(manager.finish() >= starts);
}

/// Under load it is never idle, however short the time.
#[test]
fn load_keeps_it() {
    let (listener, address) = listener();
    let process = Setup::http(&listener).set(IDLE, 200_000).start_ready();
    let load = Load::start(address, &[(4, Kind::KeepAlive(Duration::from_millis(5)))]);
    load.wait_for(400);
    let mut idle = Client::connect(address).unwrap();
    idle.send(get("/")).unwrap();
    assert_eq!(idle.answer().unwrap().body, process.id().to_string());
    assert_eq!(load.stop().failures, Vec::<String>::new());
}
