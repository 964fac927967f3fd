//! Many idle connections beside some busy ones: how long their move takes, what it costs, and how much memory each uses.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::version::TLS13;

use crate::client::{Client, get};
use crate::manager::{PATIENCE, Process};
use crate::probe;
use crate::random::number;
use crate::world::World;

/// Number of busy connections, and their requests altogether.
const BUSY: u32 = 50;
const RATE: u32 = 2000;
/// Open files of a process that are no idle connections: the library ends idle ones to have 1,024, and there are the busy ones.
const OTHER_FILES: u64 = 1500;
/// Number of ports that a client has on one address.
const PORTS: u64 = 20_000;

/// Resources that one process uses.
#[derive(Debug, Clone, Copy)]
struct Usage {
    /// Resident, in bytes.
    memory: u64,
    processor: Duration,
}

impl Usage {
    fn of(process: &Process) -> Self {
        let read =
            |name: &str| fs::read_to_string(format!("/proc/{}/{name}", process.id())).unwrap();
        let field = |text: &str, index: usize| -> u64 {
            text.split(' ').nth(index).unwrap().parse().unwrap()
        };
        let stat = read("stat");
        let after_name = stat.rsplit(") ").next().unwrap();
        let ticks = field(after_name, 11) + field(after_name, 12);
        Self {
            memory: field(&read("statm"), 1) * page_size() as u64,
            processor: Duration::from_millis(ticks * 1000 / clock_ticks_per_second()),
        }
    }
}

/// A connection that can be asked.
enum Asked {
    Plain(TcpStream),
    Tls(Box<Client>),
}

impl Asked {
    /// Each address has ports for some of the connections.
    fn connect(address: SocketAddr, number: u64, config: Option<&Arc<ClientConfig>>) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let from = SocketAddr::from(([127, 0, 1, u8::try_from(1 + number / PORTS).unwrap()], 0));
        socket.bind(&from.into()).unwrap();
        socket.connect(&address.into()).unwrap();
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(2 * PATIENCE)).unwrap();
        match config {
            None => Self::Plain(socket),
            Some(config) => Self::Tls(Box::new(Client::over(socket, config))),
        }
    }

    /// The process that answered; it must not announce the last answer.
    fn who(&mut self) -> u32 {
        match self {
            Self::Tls(client) => client.who(),
            Self::Plain(socket) => {
                socket.write_all(get("/").as_bytes()).unwrap();
                let mut answer = String::new();
                // Head and body may come one after the other.
                while answer.split("\r\n\r\n").nth(1).is_none_or(str::is_empty) {
                    let mut bytes = [0; 1024];
                    let length = socket.read(&mut bytes).unwrap();
                    assert_ne!(length, 0, "it was ended");
                    answer += &String::from_utf8_lossy(&bytes[..length]);
                }
                assert!(!answer.contains("connection: close"), "{answer}");
                answer.rsplit("\r\n\r\n").next().unwrap().parse().unwrap()
            }
        }
    }

    /// The socket, which keeps it open.
    fn socket(self) -> TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(client) => client.socket,
        }
    }
}

/// What clients have seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    answers: u32,
    /// Of the slowest answer: what it took, when it was asked for, and which process gave it.
    slowest: (Duration, Instant, u32),
}

/// Sends a request on each of `busy` in turn, with this pause, until `over`.
fn load(mut busy: Vec<Asked>, pause: Duration, over: &AtomicBool) -> Seen {
    let mut answers = 0;
    let mut slowest = (Duration::ZERO, Instant::now(), 0);
    let began = Instant::now();
    while !over.load(SeqCst) {
        for one in &mut busy {
            // A late request is not made up for.
            let due = began + pause * answers;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let asked = Instant::now();
            let who = one.who();
            slowest = slowest.max((asked.elapsed(), asked, who));
            answers += 1;
        }
    }
    Seen { answers, slowest }
}

fn measure(tls: bool, count: u64) {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    let world = World::new();
    let start = || {
        let setup = world.setup().set("PORTKEEP_LIMIT_IDLE_USEC", "off");
        let setup = if tls {
            setup
        } else {
            setup.set(probe::PLAIN, 1)
        };
        setup
            .open_files(files.maximum.unwrap_or(1 << 20) as u32)
            .start_ready()
    };
    let config = tls.then(|| Arc::new(world.config(&[&TLS13])));
    let mut old = start();
    let before = Usage::of(&old);
    let mut asked = Vec::new();
    let mut idle = Vec::new();
    for number in 0..count {
        let mut one = Asked::connect(world.address, number, config.as_ref());
        one.who();
        // A client's TLS state is as large as the server's: of most connections only the socket stays.
        match number % (count / 100) {
            0 => asked.push(one),
            _ => idle.push(one.socket()),
        }
    }
    let full = Usage::of(&old);
    let new = start();
    let empty = Usage::of(&new);
    let over = AtomicBool::new(false);
    let (report, began, took, answers, slowest, spent) = thread::scope(|scope| {
        let over = &over;
        let busy = (0..BUSY).map(|number| {
            Asked::connect(world.address, count + u64::from(number), config.as_ref())
        });
        let mut busy: Vec<_> = busy.collect();
        for one in &mut busy {
            one.who();
        }
        let rest = busy.split_off(busy.len() / 2);
        let loads = [busy, rest]
            .map(|half| scope.spawn(move || load(half, Duration::from_secs(2) / RATE, over)));
        thread::sleep(Duration::from_millis(500));
        let loaded = Usage::of(&old);
        let began = Instant::now();
        old.signal(rustix::process::Signal::TERM);
        let mut last = loaded;
        // Its usage can be read until it has ended.
        while !old.has_ended() {
            last = Usage::of(&old);
            thread::sleep(Duration::from_millis(1));
        }
        let took = began.elapsed();
        let report = old.report();
        over.store(true, SeqCst);
        let [one, other] = loads.map(|load| load.join().unwrap());
        let spent = last.processor.saturating_sub(loaded.processor);
        let answers = one.answers + other.answers;
        let slowest = one.slowest.max(other.slowest);
        (report, began, took, answers, slowest, spent)
    });
    assert!(report.contains(" 0 idle closed, nothing cut"), "{report}");
    let arrived = Usage::of(&new);
    let kib = |more: Usage, less: Usage| more.memory.saturating_sub(less.memory) / count / 1024;
    let micros = |time: Duration| time.as_micros() / u128::from(count);
    let (slowest, at, who) = slowest;
    let at = at.saturating_duration_since(began);
    let who = if who == new.id() { "new" } else { "old" };
    println!(
        "measured: {} {count} idle, {BUSY} busy: moved in {took:?}; {} KiB each in the old process, {} in the new one; {} µs of the old process for each, {} of the new one; {answers} answers meanwhile, the slowest {slowest:?}, asked for {at:?} after the signal and given by the {who} process",
        if tls { "TLS" } else { "plain" },
        kib(full, before),
        kib(arrived, empty),
        micros(spent),
        micros(arrived.processor.saturating_sub(empty.processor)),
    );
    for one in &mut asked {
        assert_eq!(one.who(), new.id());
    }
}

#[test]
fn a_thousand_idle_connections_move() {
    measure(true, 1000);
}

#[test]
#[ignore = "takes minutes and gigabytes, which `tests/run tls-long` has"]
fn very_many_idle_connections_move() {
    // Each is an open file, in this process and in the one under test.
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let wanted = number("PORTKEEP_TLS_IDLE", 50_000);
    let most = wanted.min(files - OTHER_FILES);
    if most < wanted {
        println!(
            "measured: {most} idle connections are the most here: each process may have {files} open files"
        );
    }
    for count in [1000, 10_000, 50_000].map(|count| most.min(count)) {
        measure(false, count);
        measure(true, count);
    }
}
