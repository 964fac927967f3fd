//! WebSockets within TLS that the app hands over to the next generation.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConnection, StreamOwned, SupportedProtocolVersion};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::clients::through_reloads;
use crate::manager::{PATIENCE, Process};
use crate::probe;
use crate::world::World;

const RELOADS: u64 = 5;

/// A client that counts along.
struct Counted {
    socket: tungstenite::WebSocket<StreamOwned<ClientConnection, TcpStream>>,
    count: u64,
}

impl Counted {
    fn connect(world: &World, version: &'static SupportedProtocolVersion) -> Self {
        let config = Arc::new(world.config(&[version]));
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(config, name).unwrap();
        let socket = TcpStream::connect(world.address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(2 * PATIENCE)).unwrap();
        let url = format!("wss://localhost:{}/", world.address.port());
        let stream = StreamOwned::new(session, socket);
        Self {
            socket: tungstenite::client(url, stream).unwrap().0,
            count: 0,
        }
    }

    /// Some are longer than a record of TLS. Returns which process has answered.
    fn say(&mut self) -> u32 {
        self.count += 1;
        let length = if self.count.is_multiple_of(7) {
            40_000
        } else {
            5
        };
        let text = "x".repeat(length);
        self.socket.send(Message::text(text.as_str())).unwrap();
        let heard = self.socket.read().unwrap();
        let (process, heard) = heard.to_text().unwrap().split_once(' ').unwrap();
        assert!(heard == format!("{} {text}", self.count), "{heard:.60}");
        process.parse().unwrap()
    }
}

fn start(world: &World) -> Process {
    world.setup().set(probe::COUNTS, 1).start_ready()
}

/// Talks until the reloads are over, and once more: then it is with the last generation.
fn talks(
    world: &World,
    version: &'static SupportedProtocolVersion,
    over: &AtomicBool,
    answered: &Mutex<Vec<u32>>,
) -> u32 {
    let mut client = Counted::connect(world, version);
    loop {
        let is_last = over.load(SeqCst);
        let process = client.say();
        if is_last {
            answered.lock().unwrap().push(process);
            return u32::try_from(client.count).unwrap();
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn they_go_on_in_the_next_generation() {
    let world = World::new();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let (messages, last) = through_reloads(
        &world,
        start(&world),
        || start(&world),
        RELOADS,
        |world, over, scope| {
            let talk = |version| {
                let answered = Arc::clone(&answered);
                scope.spawn(move || talks(world, version, over, &answered))
            };
            [&TLS12, &TLS13, &TLS13].map(talk).into()
        },
    );
    assert_eq!(*answered.lock().unwrap(), [last.id(); 3]);
    println!(
        "measured: WebSockets in TLS 1.2, 1.3 and 1.3: {messages:?} messages through {RELOADS} reloads, none lost, each on one connection"
    );
}

/// The keys came back with the connection: it is closed in good order.
#[test]
fn one_that_nobody_goes_on_with_is_closed() {
    let world = World::new();
    let mut old = start(&world);
    let mut client = Counted::connect(&world, &TLS13);
    client.say();
    let new = world.start();
    old.drain();
    let Message::Close(Some(frame)) = client.socket.read().unwrap() else {
        panic!("no close frame");
    };
    assert_eq!(frame.code, CloseCode::Restart);
    assert!(client.socket.read().is_err(), "it is closed");
    new.logged("no handler \"count\"");
    let report = old.report();
    assert!(report.contains("nothing cut"), "{report}");
}
