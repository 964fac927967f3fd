//! Clients that send requests all the time and count what fails.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::client::Client;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// One connection for as long as the server keeps it, with this pause between requests.
    KeepAlive(Duration),
    /// `Connection: close` in each request.
    Close,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answered: u64,
    pub(crate) connections: u64,
    pub(crate) failures: Vec<String>,
}

pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Outcome>>,
}

impl Load {
    pub(crate) fn start(address: SocketAddr, kinds: &[(usize, Kind)]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for (count, kind) in kinds {
            for _ in 0..*count {
                let (stop, kind) = (Arc::clone(&stop), *kind);
                clients.push(thread::spawn(move || run(address, kind, &stop)));
            }
        }
        Self { stop, clients }
    }

    pub(crate) fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::SeqCst);
        let mut total = Outcome::default();
        for client in self.clients {
            let outcome = client.join().unwrap();
            total.answered += outcome.answered;
            total.connections += outcome.connections;
            total.failures.extend(outcome.failures);
        }
        total
    }
}

fn run(address: SocketAddr, kind: Kind, stop: &AtomicBool) -> Outcome {
    let mut outcome = Outcome::default();
    while !stop.load(Ordering::SeqCst) {
        outcome.connections += 1;
        if let Err(error) = one_connection(address, kind, stop, &mut outcome) {
            let answered = outcome.answered;
            outcome
                .failures
                .push(format!("{kind:?}, after {answered} answers: {error}"));
        }
    }
    outcome
}

/// Any error is a failed request: nothing is tried again.
fn one_connection(
    address: SocketAddr,
    kind: Kind,
    stop: &AtomicBool,
    outcome: &mut Outcome,
) -> io::Result<()> {
    let mut client = Client::connect(address)?;
    while !stop.load(Ordering::SeqCst) {
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
        outcome.answered += 1;
        match kind {
            _ if answer.close => return client.ended(),
            Kind::Close => return Err(io::Error::other("the answer does not say close")),
            Kind::KeepAlive(pause) => thread::sleep(pause),
        }
    }
    Ok(())
}
