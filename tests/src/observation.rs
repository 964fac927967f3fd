//! Watching an app from outside while something happens to it.

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{Outcome, request};

/// A watcher's requests side by side, so that one that waits does not hide what happens meanwhile. A process that is killed takes
/// with it at most so many, which it had accepted.
const WATCHED_AT_ONCE: usize = 10;

/// Sends requests every few milliseconds, each on a connection of its own, until it is told to finish.
#[derive(Debug)]
pub struct Watcher {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<Vec<Sample>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was begun, since the watcher's start.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// What became of it.
    pub outcome: Outcome,
}

/// All that a watcher saw, in the order in which the requests were begun.
#[derive(Clone, Debug)]
#[must_use]
pub struct Observation {
    /// The requests.
    pub samples: Vec<Sample>,
}

impl Watcher {
    /// Starts one request each `every`; a request may take up to `timeout`.
    #[must_use]
    pub fn start(address: SocketAddr, every: Duration, timeout: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let workers = (0..WATCHED_AT_ONCE as u32)
            .map(|worker| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    let mut next = start + every * worker;
                    let mut samples = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        thread::sleep(next.saturating_duration_since(Instant::now()));
                        let begin = Instant::now();
                        let outcome = request(address, "/", timeout);
                        samples.push(Sample {
                            at: begin - start,
                            took: begin.elapsed(),
                            outcome,
                        });
                        next = (next + every * WATCHED_AT_ONCE as u32).max(Instant::now());
                    }
                    samples
                })
            })
            .collect();
        Self { stop, workers }
    }

    /// Stops, and tells what was seen.
    pub fn finish(mut self) -> Observation {
        self.stop.store(true, Ordering::Relaxed);
        let mut samples: Vec<Sample> = mem::take(&mut self.workers)
            .into_iter()
            .flat_map(|worker| worker.join().expect("a watcher's thread panicked"))
            .collect();
        samples.sort_by_key(|sample| sample.at);
        Observation { samples }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // A failing test must not go on asking in the next one.
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Observation {
    /// The requests that got no answer of status 200.
    #[must_use]
    pub fn failed(&self) -> Vec<&Sample> {
        let failed = |sample: &&Sample| sample.outcome.version().is_none();
        self.samples.iter().filter(failed).collect()
    }

    /// The longest request.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        self.samples
            .iter()
            .map(|sample| sample.took)
            .max()
            .unwrap_or_default()
    }

    /// The versions that answered, each once for every time it took over.
    #[must_use]
    pub fn versions(&self) -> Vec<&str> {
        let mut versions: Vec<&str> = self
            .samples
            .iter()
            .filter_map(|sample| sample.outcome.version())
            .collect();
        versions.dedup();
        versions
    }

    /// Fails the test if any request failed, or if there were none.
    #[track_caller]
    pub fn expect_lossless(&self) {
        let failed = self.failed();
        assert!(!self.samples.is_empty(), "no request was made");
        assert!(
            failed.is_empty(),
            "{} of {} requests failed, the first: {:?}",
            failed.len(),
            self.samples.len(),
            &failed[..failed.len().min(5)]
        );
    }

    /// Fails the test if more requests failed than those that so many killed processes had accepted, or if the port was closed.
    #[track_caller]
    pub fn expect_lost_by_kills(&self, kills: usize) {
        let most = kills * WATCHED_AT_ONCE;
        self.expect_never_refused();
        let failed = self.failed();
        assert!(!self.samples.is_empty(), "no request was made");
        assert!(
            failed.len() <= most,
            "{} of {} requests failed, not only those in flight: {:?}",
            failed.len(),
            self.samples.len(),
            &failed[..failed.len().min(5)]
        );
    }

    /// Fails the test if the port was ever closed.
    #[track_caller]
    pub fn expect_never_refused(&self) {
        let refused = |sample: &&Sample| sample.outcome == Outcome::Refused;
        let first = self.samples.iter().find(refused);
        assert!(first.is_none(), "the port was lost: {first:?}");
    }

    /// Fails the test if a request took this long.
    #[track_caller]
    pub fn expect_faster_than(&self, limit: Duration) {
        let slowest = self.slowest();
        assert!(slowest < limit, "slowest {slowest:?}, limit {limit:?}");
    }
}
