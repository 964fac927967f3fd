//! Generations that replace one another without end.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use socket2::SockRef;
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};

use super::Through;
use super::app::TestApp;
use super::cipher::Cipher;
use crate::ShutdownToken;
use crate::accept::accept;
use crate::acceptor::Acceptor;
use crate::app::ErasedApp;
use crate::connection::Resumers;
use crate::drain::{Phase, Shared};
use crate::listen::Listener;
use crate::listeners::{Listeners, OpenListeners};
use crate::moving::send;
use crate::moving::socket::MoveSocket;
use crate::moving::transfer::{Inbox, departures};
use crate::seeded_random::SeededRandom;

/// How many generations may drain at once before the next one comes.
const MOST_DRAINING: usize = 8;

/// A listening socket with a path, as a service manager holds it.
pub(super) fn move_socket(directory: &TempDir) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let address = SocketAddrUnix::new(directory.path().join("move")).unwrap();
    bind(&socket, &address).unwrap();
    listen(&socket, 128).unwrap();
    socket
}

fn tcp() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    // Accepted connections inherit it: long answers have to wait in hyper, not in the kernel.
    SockRef::from(&listener)
        .set_send_buffer_size(8 * 1024)
        .unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server that serves for ever, in one generation.
pub(super) fn still_server(app: TestApp) -> SocketAddr {
    let (listener, address) = tcp();
    let shared = Arc::new(Shared::new(Duration::from_secs(60), departures().0));
    let listener = Listener::of(listener, "http");
    let app = ErasedApp::new(app.router());
    tokio::spawn(accept(listener, app, shared, ShutdownToken::new()));
    address
}

/// What a generation serves, which may hear when it ends.
pub(super) type Make = Box<dyn Fn(&ShutdownToken) -> (ErasedApp, Resumers) + Send>;

struct Generation {
    shared: Arc<Shared>,
    listeners: OpenListeners,
    ends: ShutdownToken,
    next: SocketAddrUnix,
    inbox: Inbox,
}

impl Generation {
    fn start(listener: &TcpListener, move_socket: &OwnedFd, make: &Make, through: Through) -> Self {
        let ends = ShutdownToken::new();
        let (app, resumers) = make(&ends);
        let (departures, inbox) = departures();
        let shared = Shared::new(Duration::from_secs(60), departures);
        #[cfg(feature = "http2")]
        let shared = shared.moving_http2(true);
        let shared = Arc::new(shared);
        let socket = MoveSocket::new(move_socket.try_clone().unwrap()).unwrap();
        let next = socket.address();
        let mut listener = Listener::of(listener.try_clone().unwrap(), "http");
        let cipher = Cipher {
            name: 1,
            foreign: true,
        };
        listener.acceptor = match through {
            Through::Nothing => None,
            Through::Cipher => Some(Acceptor::movable(cipher)),
        };
        let listeners = Listeners {
            sockets: vec![listener],
            move_socket: Some(socket),
            resumers,
        };
        Self {
            listeners: listeners.open(&app, &shared),
            ends,
            shared,
            next,
            inbox,
        }
    }

    /// Gives everything to whoever comes next, and answers how much that was, and whether somebody took it to the end.
    async fn drain(self) -> (u64, bool) {
        drop(self.listeners.close().await);
        self.ends.start();
        let mut departing = JoinSet::new();
        departing.spawn(send(self.next, self.inbox, Arc::clone(&self.shared)));
        self.shared.all_closed().await;
        let phase = self.shared.phases.current();
        let moved = self.shared.counts.moved.load(Ordering::SeqCst);
        (moved, phase < Phase::Draining)
    }
}

pub(super) struct Generations {
    address: SocketAddr,
    stop: ShutdownToken,
    outcome: JoinHandle<Outcome>,
}

/// What came of all of them.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) handovers: u64,
    pub(super) moves: u64,
    /// Sessions that nobody wanted any more.
    pub(super) failed: u64,
}

impl Outcome {
    fn add(&mut self, (moved, to_the_end): (u64, bool)) {
        self.moves += moved;
        self.failed += u64::from(!to_the_end);
    }
}

impl Generations {
    pub(super) fn start(app: axum::Router, through: Through, seed: u64) -> Self {
        // Making one takes longer than a handover.
        let app = ErasedApp::new(app);
        let make = move |_: &ShutdownToken| (app.clone(), Resumers::default());
        Self::of(Box::new(make), through, seed)
    }

    pub(super) fn of(make: Make, through: Through, seed: u64) -> Self {
        let (listener, address) = tcp();
        let stop = ShutdownToken::new();
        let outcome = tokio::spawn(replace(
            listener,
            make,
            through,
            SeededRandom::new(seed, u64::MAX),
            stop.clone(),
        ));
        Self {
            address,
            stop,
            outcome,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn stop(self) -> Outcome {
        self.stop.start();
        self.outcome.await.unwrap()
    }
}

async fn replace(
    listener: TcpListener,
    make: Make,
    through: Through,
    mut random: SeededRandom,
    stop: ShutdownToken,
) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let move_socket = move_socket(&directory);
    let mut current = Generation::start(&listener, &move_socket, &make, through);
    let mut draining = JoinSet::new();
    let mut outcome = Outcome::default();
    while !stop.is_started() {
        tokio::time::sleep(Duration::from_micros(1000 + random.size(10_000))).await;
        let next = Generation::start(&listener, &move_socket, &make, through);
        let old = std::mem::replace(&mut current, next);
        draining.spawn(old.drain());
        outcome.handovers += 1;
        while let Some(moved) = draining.try_join_next() {
            outcome.add(moved.unwrap());
        }
        // Each that still has something asks each new one whether it takes it: with too many of them, nobody gets an answer.
        while draining.len() > MOST_DRAINING && !stop.is_started() {
            let ended = tokio::time::timeout(Duration::from_millis(50), draining.join_next());
            if let Ok(Some(moved)) = ended.await {
                outcome.add(moved.unwrap());
            }
        }
    }
    draining.spawn(current.drain());
    while let Some(moved) = draining.join_next().await {
        outcome.add(moved.unwrap());
    }
    outcome
}
