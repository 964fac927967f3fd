//! What load balancers are told, and what happens to connections of an app that is taken out.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::client::{Answer, Client, get};
use crate::manager::{PATIENCE, Process, Setup, listener};
use crate::probe;

/// The directories of an app that portkeep runs.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for directory in ["state", "run/generations"] {
            fs::create_dir_all(place.0.path().join(directory)).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What tells a generation where it is.
    fn of(&self, setup: Setup, generation: u32) -> Setup {
        let files = [self.path("state/drain"), self.path("run/leaving")];
        setup
            .set(
                "PORTKEEP_DRAIN_FILES",
                format!("{}:{}", files[0].display(), files[1].display()),
            )
            .set("PORTKEEP_NAME", "hello")
            .set("PORTKEEP_GENERATION", generation)
    }

    fn make_current(&self, generation: u32) {
        let link = self.path("run/current");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("generations/{generation}"), link).unwrap();
    }

    fn take_out(&self, file: &str, grace: Duration) {
        write(&self.path(file), grace);
    }

    fn put_back(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }
}

fn write(path: &Path, grace: Duration) {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    fs::write(path, format!("{} {}\n", now.as_micros(), grace.as_micros())).unwrap();
}

/// An app with a health socket of this kind.
struct Told {
    process: Process,
    address: SocketAddr,
    health: SocketAddr,
    place: Place,
    _listeners: [TcpListener; 2],
}

fn start(socket: &str, linger: Duration) -> Told {
    let (http, address) = listener();
    let (asked, health) = listener();
    let place = Place::new();
    let setup = Setup::http(&http)
        .socket(socket, &asked)
        .set(probe::LINGER, linger.as_millis());
    let process = place.of(setup, 1).start_ready();
    Told {
        process,
        address,
        health,
        place,
        _listeners: [http, asked],
    }
}

impl Told {
    fn ask(&self, path: &str) -> Answer {
        Client::connect(self.health).unwrap().get(path).unwrap()
    }

    fn line(&self) -> String {
        let mut line = String::new();
        let mut stream = TcpStream::connect(self.health).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read_to_string(&mut line).unwrap();
        line
    }

    fn say(&self, check: &str, says: &str) {
        let answer = Client::connect(self.address)
            .unwrap()
            .get(&format!("/health/{check}/{says}"));
        assert_eq!(answer.unwrap().status, 200);
    }
}

#[test]
fn readiness_follows_the_checks_of_the_app_and_nobody_else_is_served_there() {
    let told = start("portkeep-health", Duration::ZERO);
    let ready = told.ask("/readyz");
    assert_eq!(ready.status, 200, "{ready:?}");
    assert!(ready.close, "the next generation is asked next time");
    assert_eq!(
        ready.body,
        "{\"ready\":true,\"status\":\"ready\",\"app\":\"hello\",\"generation\":1}\n"
    );
    told.say("cache", "cold");
    told.say("database", "asked");
    let not = told.ask("/readyz");
    assert_eq!(not.status, 503);
    let reason = "\"reason\":\"cache: cold; database: it was asked\"";
    assert!(not.body.contains(reason), "{}", not.body);
    assert_eq!(told.ask("/livez").status, 200);
    told.say("database", "gone");
    told.say("cache", "ok");
    let ready = told.ask("/readyz");
    assert_eq!(
        (ready.status, ready.body.contains("\"cache\":\"ok\"")),
        (200, true)
    );
    // The app is not served there, and the health not at its port.
    assert_eq!(told.ask("/").status, 404);
    let at_port = Client::connect(told.address).unwrap().get("/readyz");
    assert_eq!(at_port.unwrap().status, 404);
    let mut client = Client::connect(told.health).unwrap();
    client
        .send("POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    assert_eq!(client.answer().unwrap().status, 405);
}

#[test]
fn haproxy_is_told_in_one_line() {
    let told = start("portkeep-agent-check", Duration::ZERO);
    assert_eq!(told.line(), "ready up\n");
    told.say("database", "away");
    assert_eq!(told.line(), "down#database: away\n");
    told.say("database", "ok");
    told.place.take_out("state/drain", Duration::from_secs(60));
    assert_eq!(told.line(), "drain\n");
    told.say("database", "away");
    assert_eq!(told.line(), "drain down#database: away\n");
    told.say("database", "ok");
    told.place.put_back("state/drain");
    assert_eq!(told.line(), "ready up\n");
}

#[test]
fn whoever_asks_and_says_nothing_holds_up_nobody() {
    let told = start("portkeep-health", Duration::ZERO);
    let silent: Vec<_> = (0..300)
        .map(|_| TcpStream::connect(told.health).unwrap())
        .collect();
    assert_eq!(told.ask("/readyz").status, 200);
    drop(silent);
}

#[test]
fn connections_end_in_good_order_after_the_grace_and_late_requests_are_answered() {
    let told = start("portkeep-health", Duration::from_millis(300));
    let (mut idle, mut used) = (
        Client::connect(told.address).unwrap(),
        Client::connect(told.address).unwrap(),
    );
    assert!(!idle.get("/").unwrap().close);
    let mut events = Client::connect(told.address).unwrap();
    events.send(get("/events")).unwrap();
    events.head().unwrap();
    told.place
        .take_out("state/drain", Duration::from_secs(3600));
    let out = told.ask("/readyz");
    assert_eq!(
        (out.status, out.body.contains("\"status\":\"draining\"")),
        (503, true),
        "{}",
        out.body
    );
    assert_eq!(told.ask("/livez").status, 200);
    // In the grace, nothing ends.
    assert!(!used.get("/").unwrap().close && !idle.get("/").unwrap().close);
    told.place.take_out("state/drain", Duration::ZERO);
    idle.ended().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Whoever comes late is answered, and sent away with the answer.
        let answer = Client::connect(told.address).unwrap().get("/").unwrap();
        assert_eq!(answer.status, 200);
        if answer.close {
            break;
        }
        assert!(Instant::now() < deadline, "connections do not end");
    }
    let mut rest = Vec::new();
    events.socket.read_to_end(&mut rest).unwrap();
    told.place.put_back("state/drain");
    assert_eq!(told.ask("/readyz").status, 200);
    let deadline = Instant::now() + PATIENCE;
    while Client::connect(told.address)
        .unwrap()
        .get("/")
        .unwrap()
        .close
    {
        assert!(Instant::now() < deadline, "it is not put back");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!told.process.has_notified("STOPPING=1"));
}

#[test]
fn one_that_starts_while_it_is_taken_out_says_so() {
    let (http, address) = listener();
    let (asked, health) = listener();
    let place = Place::new();
    place.take_out("run/leaving", Duration::ZERO);
    let setup = Setup::http(&http).socket("portkeep-health", &asked);
    let _process = place.of(setup, 7).start_ready();
    assert_eq!(
        Client::connect(health)
            .unwrap()
            .get("/readyz")
            .unwrap()
            .status,
        503
    );
    assert!(Client::connect(address).unwrap().get("/").unwrap().close);
}

#[test]
fn the_next_generation_is_asked_and_the_last_one_says_that_it_ends() {
    let (http, address) = listener();
    let (asked, health) = listener();
    let place = Place::new();
    let setup = |generation| {
        let setup = Setup::http(&http).socket("portkeep-health", &asked);
        place.of(setup, generation)
    };
    place.make_current(1);
    let mut old = setup(1).start_ready();
    let mut busy = Client::connect(address).unwrap();
    busy.send(get("/slow/3000")).unwrap();
    // It has to be accepted by this one.
    while Client::connect(address).unwrap().get("/").unwrap().body != old.id().to_string() {}
    let mut new = setup(2).start_ready();
    place.make_current(2);
    old.drain();
    for _ in 0..50 {
        let answer = Client::connect(health).unwrap().get("/readyz").unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("\"generation\":2"), "{}", answer.body);
    }
    busy.answer().unwrap();
    old.report();
    let mut busy = Client::connect(address).unwrap();
    busy.send(get("/slow/2000")).unwrap();
    Client::connect(address).unwrap().get("/").unwrap();
    new.drain();
    let answer = Client::connect(health).unwrap().get("/readyz").unwrap();
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("\"status\":\"stopping\""),
        "{}",
        answer.body
    );
    busy.answer().unwrap();
    drop(busy);
    new.report();
}
