//! The example of a chat, through reloads: everybody sees the same, once and in order, on one connection.
//!
//! `PORTKEEP_CHAT_CLIENTS=100 PORTKEEP_CHAT_RELOADS=20` is more of it.

use std::collections::VecDeque;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::{self, Error, Message};

use super::World;
use crate::client::get;
use crate::manager::{PATIENCE, Process, Setup};
use crate::probe;

pub(super) type WebSocket = tungstenite::WebSocket<TcpStream>;

/// How long a client waits for what others say, before it says something itself.
const PACE: Duration = Duration::from_millis(20);

fn number(variable: &str, default: usize) -> usize {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap())
}

pub(super) fn setup(world: &World) -> Setup {
    let log = world.directory.path().join("chat.log");
    world.setup().set(probe::CHAT, log.display())
}

pub(super) fn start(world: &World) -> Process {
    setup(world).start_ready()
}

pub(super) fn join(world: &World, name: &str) -> WebSocket {
    let address = world.listener.local_addr().unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://{address}/chat?{name}");
    tungstenite::client(url, socket).unwrap().0
}

/// The lines of everybody.
fn said(world: &World) -> Vec<String> {
    let log = fs::read_to_string(world.directory.path().join("chat.log")).unwrap();
    log.lines().map(str::to_owned).collect()
}

/// Says something again and again until `over`, and then goodbye. Returns what it has heard, when all `clients` have said that.
fn talk(mut socket: WebSocket, name: usize, clients: usize, over: &AtomicBool) -> Vec<String> {
    socket.get_ref().set_read_timeout(Some(PACE)).unwrap();
    let pause = PACE * u32::try_from(clients).unwrap() / 4;
    let (mut heard, mut goodbyes, mut number) = (Vec::new(), 0, 0);
    let mut says = Instant::now();
    let mut last_heard = Instant::now();
    let mut leaves = false;
    while goodbyes < clients {
        if !leaves && says.elapsed() >= pause {
            leaves = over.load(Ordering::SeqCst);
            let line = match leaves {
                true => "goodbye".to_owned(),
                // Some are longer than a packet, and are sent in parts.
                false => format!(
                    "{number} {}",
                    "x".repeat(if number % 5 == 0 { 3000 } else { 10 })
                ),
            };
            socket.send(Message::text(line)).unwrap();
            number += 1;
            says = Instant::now();
        }
        match socket.read() {
            Ok(Message::Text(line)) => {
                goodbyes += usize::from(line.ends_with(": goodbye"));
                heard.push(line.as_str().to_owned());
                last_heard = Instant::now();
            }
            Ok(other) => panic!("client {name}: {other:?} after {} lines", heard.len()),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                assert!(
                    last_heard.elapsed() < 3 * PATIENCE,
                    "client {name} hears nothing"
                );
            }
            Err(error) => panic!("client {name}: {error} after {} lines", heard.len()),
        }
    }
    heard
}

#[test]
fn everybody_stays_and_hears_the_same() {
    let clients = number("PORTKEEP_CHAT_CLIENTS", 15);
    let reloads = number("PORTKEEP_CHAT_RELOADS", 5);
    let world = World::new();
    let mut old = start(&world);
    let over = Arc::new(AtomicBool::new(false));
    let sockets: Vec<_> = (0..clients)
        .map(|name| join(&world, &name.to_string()))
        .collect();
    let talking: Vec<_> = sockets
        .into_iter()
        .enumerate()
        .map(|(name, socket)| {
            let over = Arc::clone(&over);
            thread::spawn(move || talk(socket, name, clients, &over))
        })
        .collect();
    for _ in 0..reloads {
        // Each generation has something said.
        let lines = said(&world).len();
        let deadline = Instant::now() + 3 * PATIENCE;
        while said(&world).len() < lines + clients {
            assert!(
                Instant::now() < deadline,
                "nobody says anything\n{}",
                old.story()
            );
            thread::sleep(Duration::from_millis(5));
        }
        let new = start(&world);
        old.drain();
        let report = old.report();
        let expected = format!("; {clients} WebSockets handed over");
        assert!(report.contains(&expected), "{report}\n{}", old.story());
        assert!(report.contains("nothing cut"), "{report}");
        old = new;
    }
    over.store(true, Ordering::SeqCst);
    let heard: Vec<_> = talking
        .into_iter()
        .map(|client| client.join().unwrap())
        .collect();
    let said = said(&world);
    for (name, heard) in heard.iter().enumerate() {
        assert!(
            *heard == said,
            "client {name} has heard {} lines of {}",
            heard.len(),
            said.len()
        );
        // And of its own, what it has said.
        let own = said
            .iter()
            .filter_map(|line| line.strip_prefix(&format!("{name}: ")));
        let mut own: VecDeque<_> = own.collect();
        assert_eq!(own.pop_back(), Some("goodbye"));
        for (number, line) in own.iter().enumerate() {
            assert!(line.starts_with(&format!("{number} ")), "{number}: {line}");
        }
    }
    println!(
        "measured: {clients} WebSockets over {reloads} reloads: {} lines, none lost, doubled or out of order, no connection ended",
        said.len()
    );
}

/// One that comes back with the number of the last event misses none and gets none twice.
#[test]
fn an_event_stream_goes_on_where_it_was() {
    let reloads = number("PORTKEEP_CHAT_RELOADS", 5);
    let world = World::new();
    let mut old = start(&world);
    let over = Arc::new(AtomicBool::new(false));
    let mut speaker = world.client();
    let speaking = thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut number = 0;
            while !over.load(Ordering::SeqCst) {
                let line = number.to_string();
                let length = line.len();
                speaker.send(format!("POST /say HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{line}")).unwrap();
                let (status, close, _) = speaker.head().unwrap();
                assert_eq!((status, close), (204, false));
                number += 1;
                thread::sleep(Duration::from_millis(2));
            }
            number
        }
    });
    let mut client = world.client();
    // From the beginning.
    let mut last = "0".to_owned();
    let (mut heard, mut answers) = (0, 0);
    let mut said = None;
    let mut reloaded = 0;
    let mut speaking = Some(speaking);
    let mut ending: Option<thread::JoinHandle<String>> = None;
    while said.is_none_or(|said| heard < said) {
        // As an `EventSource` does, over the same connection.
        let head = get("/log").replace("\r\n\r\n", &format!("\r\nLast-Event-ID: {last}\r\n\r\n"));
        client.send(head).unwrap();
        let (status, close, _) = client.head().unwrap();
        assert_eq!((status, close), (200, false));
        answers += 1;
        let (mut of_this, mut ends) = (0, false);
        loop {
            let chunk = String::from_utf8(client.chunk().unwrap()).unwrap();
            if chunk.is_empty() {
                // As it was told to; one that asks at once may be told again, by the old one.
                thread::sleep(Duration::from_millis(100));
                break;
            }
            for event in chunk.split_terminator("\n\n") {
                for line in event.lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => id.clone_into(&mut last),
                        Some(("data", data)) => {
                            assert_eq!(data, heard.to_string(), "answer {answers}");
                            heard += 1;
                            of_this += 1;
                        }
                        Some(("retry", "100")) => {}
                        other => panic!("{other:?} in {event:?}"),
                    }
                }
            }
            // Once in an answer: what it sends until its end may be much.
            if of_this >= 20 && reloaded < reloads && !ends {
                ends = true;
                // Its connections are with `old`, and with none before that.
                if let Some(ended) = ending.take() {
                    let report = ended.join().unwrap();
                    assert!(report.contains("nothing cut"), "{report}");
                }
                let new = start(&world);
                let mut before = std::mem::replace(&mut old, new);
                before.drain();
                ending = Some(thread::spawn(move || before.report()));
                reloaded += 1;
            }
            if said.is_some_and(|said| heard >= said) {
                break;
            }
        }
        if reloaded == reloads
            && let Some(speaking) = speaking.take()
        {
            over.store(true, Ordering::SeqCst);
            said = Some(speaking.join().unwrap());
        }
    }
    println!(
        "measured: an event stream over {reloaded} reloads: {heard} events in {answers} answers, none lost or doubled"
    );
    assert!(answers > reloads, "{answers}");
}
