//! Clients of the load. Each speaks one protocol, never sends a request twice, and notes what it saw.

mod answer;
mod close;
mod events;
mod http2;
mod keep_alive;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::failure::Failure;
use super::pace::Pace;
use super::plan::{Mode, Plan};
use super::progress::Progress;
use super::sample::{Observations, Sample};

/// Requests at a time on an HTTP/2 connection.
const STREAMS: u32 = 10;

/// What all clients of a run share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) progress: Arc<Progress>,
}

/// What became of one request: the version that answered, a failure, or nothing that counts (`None`): a WebSocket that was
/// told to end.
type Outcome = Option<Result<Option<u16>, Failure>>;

/// Starts them all.
pub(crate) fn start(shared: &Shared) -> JoinSet<Observations> {
    let mut clients = JoinSet::new();
    let connections = shared.plan.connections.max(1);
    match shared.plan.mode {
        Mode::Http2 => {
            let mut left = connections;
            while left > 0 {
                let streams = left.min(STREAMS);
                clients.spawn(http2::run(shared.clone(), streams));
                left -= streams;
            }
        }
        mode => {
            for _ in 0..connections {
                let shared = shared.clone();
                match mode {
                    Mode::KeepAlive => clients.spawn(keep_alive::run(shared)),
                    Mode::Close => clients.spawn(close::run(shared)),
                    Mode::Websocket => clients.spawn(websocket::run(shared)),
                    Mode::Sse | Mode::Http2 => clients.spawn(events::run(shared)),
                };
            }
        }
    }
    clients
}

impl Shared {
    /// One request that is due at `start`: carries it out within its time, and notes what became of it.
    async fn timed(
        &self,
        seen: &mut Observations,
        start: Instant,
        request: impl AsyncFnOnce(&mut Observations) -> Outcome,
    ) -> Timed {
        let deadline = start + self.plan.timeout;
        // Due so long ago that its client would have given up.
        let outcome = if Instant::now() >= deadline {
            Some(Some(Err(Failure::TimedOut)))
        } else {
            tokio::time::timeout_at(deadline, request(seen)).await.ok()
        };
        let (outcome, timed) = match outcome {
            Some(outcome) => (outcome, Timed::Ended),
            None => (Some(Err(Failure::TimedOut)), Timed::Out),
        };
        if let Some(outcome) = outcome {
            self.note(seen, start, outcome);
        }
        timed
    }

    fn note(&self, seen: &mut Observations, start: Instant, outcome: Result<Option<u16>, Failure>) {
        self.progress.count(outcome.is_err());
        seen.samples.push(Sample {
            start: start.duration_since(self.pace.begin()),
            took: start.elapsed(),
            outcome,
        });
    }

    async fn connect(&self, seen: &mut Observations) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(self.plan.target.address)
            .await
            .map_err(|error| Failure::of(&error))?;
        stream
            .set_nodelay(true)
            .map_err(|error| Failure::of(&error))?;
        seen.connections.opened += 1;
        Ok(stream)
    }
}

/// Whether a request used up its time; its connection is of no use then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timed {
    Ended,
    Out,
}

/// The pause before a client that keeps a connection open tries to connect again after it failed.
const RECONNECT: Duration = Duration::from_millis(10);
