//! Those who ask while somebody saves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{Load, Protocol, Running};
use crate::serving::ask;

const EVERY: Duration = Duration::from_millis(10);
const KEPT: u32 = 4;
/// Requests a second on all of those.
const RATE: u32 = 40;

/// What became of their requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// On a new connection; one that failed does not count.
    pub(super) longest: Duration,
    pub(super) failed: u64,
    /// Of the connections that are kept.
    pub(super) closed: u64,
}

/// One who asks every 10 ms, each time on a new connection, and some who keep theirs.
pub(super) struct Asking {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Asked>,
    kept: Running,
}

impl Asked {
    pub(super) fn add(&mut self, more: &Self) {
        self.longest = self.longest.max(more.longest);
        self.failed += more.failed;
        self.closed += more.closed;
    }
}

impl Asking {
    pub(super) fn start(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        let kept = Load {
            address,
            protocol: Protocol::KeepAlive,
            tls: None,
            connections: KEPT,
            rate: RATE,
        };
        let kept = kept.start()?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = thread::spawn(move || {
            let mut asked = Asked::default();
            while !told.load(Ordering::Relaxed) {
                let begun = Instant::now();
                match ask(address) {
                    Ok(_) => asked.longest = asked.longest.max(begun.elapsed()),
                    Err(_) => asked.failed += 1,
                }
                thread::sleep(EVERY);
            }
            asked
        });
        // All of them have a connection when the save comes.
        thread::sleep(Duration::from_secs(1) * KEPT / RATE);
        Ok(Self { stop, thread, kept })
    }

    pub(super) fn finish(self) -> anyhow::Result<Asked> {
        self.stop.store(true, Ordering::Relaxed);
        let kept = self.kept.finish()?;
        let mut asked = self.thread.join().unwrap_or_default();
        asked.failed += kept.failed();
        asked.closed += kept.closed;
        Ok(asked)
    }
}
