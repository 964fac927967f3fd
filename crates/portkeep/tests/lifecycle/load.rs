//! Clients that send requests all the time and count what fails.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::manager::PATIENCE;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// One connection for as long as the server keeps it, with this pause between requests.
    KeepAlive(Duration),
    /// `Connection: close` in each request.
    Close,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) connections: u64,
    pub(crate) failures: Vec<String>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
}

pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Outcome>>,
}

impl Load {
    pub(crate) fn start(address: SocketAddr, kinds: &[(usize, Kind)]) -> Self {
        let shared = Arc::new(Shared::default());
        let mut clients = Vec::new();
        for (count, kind) in kinds {
            for _ in 0..*count {
                let (shared, kind) = (Arc::clone(&shared), *kind);
                clients.push(thread::spawn(move || run(address, kind, &shared)));
            }
        }
        Self { shared, clients }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// Waits until this many more requests were answered.
    pub(crate) fn wait_for(&self, more: u64) {
        let goal = self.answered() + more;
        let deadline = Instant::now() + PATIENCE;
        while self.answered() < goal {
            assert!(Instant::now() < deadline, "nobody answers");
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn stop(self) -> Outcome {
        self.shared.stop.store(true, Ordering::SeqCst);
        let mut total = Outcome::default();
        for client in self.clients {
            let outcome = client.join().unwrap();
            total.connections += outcome.connections;
            total.failures.extend(outcome.failures);
        }
        total
    }
}

fn run(address: SocketAddr, kind: Kind, shared: &Shared) -> Outcome {
    let mut outcome = Outcome::default();
    while !shared.stop.load(Ordering::SeqCst) {
        outcome.connections += 1;
        if let Err(error) = one_connection(address, kind, shared) {
            outcome.failures.push(format!("{kind:?}: {error}"));
        }
    }
    outcome
}

/// Any error is a failed request: nothing is tried again.
fn one_connection(address: SocketAddr, kind: Kind, shared: &Shared) -> io::Result<()> {
    let mut client = Client::connect(address)?;
    while !shared.stop.load(Ordering::SeqCst) {
        let answer = match kind {
            Kind::KeepAlive(_) => client.get("/")?,
            Kind::Close => {
                client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
                client.answer()?
            }
        };
        if answer.status != 200 {
            return Err(io::Error::other(format!("status {}", answer.status)));
        }
        shared.answered.fetch_add(1, Ordering::SeqCst);
        match kind {
            _ if answer.close => return client.ended(),
            Kind::Close => return Err(io::Error::other("the answer does not say close")),
            Kind::KeepAlive(pause) => thread::sleep(pause),
        }
    }
    Ok(())
}
