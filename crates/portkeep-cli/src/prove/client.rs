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
    ///
    /// Its time counts from when it was due, and the server's from when it is sent. A client that has fallen behind would
    /// otherwise cut each connection that it has just opened: every request would be sent in its last milliseconds, nothing
    /// would be answered any more, and it would never catch up with a server that is quick again.
    async fn timed(
        &self,
        seen: &mut Observations,
        start: Instant,
        request: impl AsyncFnOnce(&mut Observations) -> Outcome,
    ) -> Timed {
        // Due so long ago that its client would have given up.
        let is_given_up = || start.elapsed() >= self.plan.timeout;
        let (outcome, timed) = if is_given_up() {
            (Some(Err(Failure::TimedOut)), Timed::Ended)
        } else {
            match tokio::time::timeout(self.plan.timeout, request(seen)).await {
                Ok(Some(Ok(_))) if is_given_up() => (Some(Err(Failure::TimedOut)), Timed::Ended),
                Ok(outcome) => (outcome, Timed::Ended),
                Err(_elapsed) => (Some(Err(Failure::TimedOut)), Timed::Out),
            }
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

#[cfg(test)]
mod tests {
    use super::super::plan::{Target, VersionIn};
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn shared(rate: u32) -> Shared {
        let plan = Plan {
            target: Target {
                url: "http://127.0.0.1/".to_owned(),
                address: ([127, 0, 0, 1], 80).into(),
                authority: "127.0.0.1".to_owned(),
                path: "/".to_owned(),
            },
            mode: Mode::KeepAlive,
            reload: String::new(),
            times: 1,
            every: Duration::ZERO,
            rate,
            connections: 10,
            timeout: TIMEOUT,
            settle: Duration::ZERO,
            version: VersionIn::Nowhere,
            app: None,
        };
        Shared {
            pace: Arc::new(Pace::new(Instant::now(), rate)),
            progress: Arc::new(Progress::new(1)),
            plan: Arc::new(plan),
        }
    }

    /// A server that answers nobody until `back`, and then needs longer for a new connection than for a request.
    async fn client(shared: Shared, back: Instant) -> Observations {
        let mut seen = Observations::default();
        let mut is_open = false;
        while let Some(start) = shared.pace.next().await {
            let request = async |_: &mut Observations| -> Outcome {
                tokio::time::sleep_until(back).await;
                let connect = Duration::from_millis(if is_open { 0 } else { 150 });
                tokio::time::sleep(connect + Duration::from_millis(30)).await;
                is_open = true;
                Some(Ok(None))
            };
            if shared.timed(&mut seen, start, request).await == Timed::Out {
                is_open = false;
            }
        }
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_fell_behind_catch_up_with_a_server_that_is_quick_again() {
        let shared = shared(100);
        let begin = shared.pace.begin();
        shared.pace.end_at(begin + Duration::from_secs(60));
        let back = begin + Duration::from_secs(25);
        let mut clients = JoinSet::new();
        for _ in 0..10 {
            clients.spawn(client(shared.clone(), back));
        }
        let mut late = (0, 0);
        while let Some(seen) = clients.join_next().await {
            for sample in seen.unwrap().samples {
                if sample.start >= Duration::from_secs(40) {
                    late.0 += 1;
                    late.1 += u32::from(sample.outcome.is_err());
                }
            }
        }
        assert_eq!(late, (2000, 0), "requests 15 s after it is back, failed");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_too_late_is_none() {
        let shared = shared(1);
        let mut seen = Observations::default();
        let due = Instant::now();
        tokio::time::advance(TIMEOUT - Duration::from_millis(1)).await;
        let answer = async |_: &mut Observations| -> Outcome {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some(Ok(None))
        };
        // The server had time for it, so its connection is good for more.
        assert_eq!(shared.timed(&mut seen, due, answer).await, Timed::Ended);
        assert!(matches!(seen.samples[0].outcome, Err(Failure::TimedOut)));
        // Nothing is sent for one that is given up.
        let never = async |_: &mut Observations| -> Outcome { panic!("it is sent") };
        assert_eq!(shared.timed(&mut seen, due, never).await, Timed::Ended);
        let silence = async |_: &mut Observations| -> Outcome { std::future::pending().await };
        let now = Instant::now();
        assert_eq!(shared.timed(&mut seen, now, silence).await, Timed::Out);
        assert_eq!(now.elapsed(), TIMEOUT);
    }
}
