//! What hyper does not tell about an HTTP/1 connection, observed from outside.
//!
//! Two facts are needed: is the connection *between requests*, and is everything *flushed*?
//! hyper starts its head-read timer when it begins to wait for a request, and gives the request to
//! the app as soon as it has the head: a timer of our own and the app's service know the first. It
//! flushes the I/O object only when its own write buffer is empty, so the I/O object knows the second.
//!
//! Both hold directly after the connection was polled and is pending, in the task that polled it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use super::Peer;
use crate::drain::{Began, Phase, Shared, count};

/// One connection's observations. One task writes and reads all of it; the atomics are there
/// because hyper's types have to be `Sync`.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Peer,
    /// The name of the listener that accepted it.
    pub(super) listener: Arc<str>,
    /// Nothing was written since the last flush.
    clean: AtomicBool,
    /// The client has ended its side.
    ended: AtomicBool,
    /// Reads that brought bytes.
    reads: AtomicU64,
    /// hyper waits for a head.
    waiting: AtomicBool,
    /// How many heads it has waited for.
    waits: AtomicU64,
    /// `reads` when it began to wait.
    reads_before: AtomicU64,
    requests: AtomicU64,
    /// The last request had a body.
    had_body: AtomicBool,
    /// The handler of a request runs. Of HTTP/2, where many do, it says nothing.
    handles: AtomicBool,
    /// It could not be moved and is not tried again.
    stays: AtomicBool,
    /// HTTP/2 streams that became tunnels: nobody says when they end, so they are open as long as the
    /// connection.
    tunnels: Mutex<Vec<Began>>,
}

impl Probe {
    /// `used`: it had requests in another process.
    pub(super) fn new(shared: Arc<Shared>, peer: Peer, listener: Arc<str>, used: bool) -> Self {
        Self {
            shared,
            peer,
            listener,
            clean: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            waits: AtomicU64::new(0),
            reads_before: AtomicU64::new(0),
            requests: AtomicU64::new(used.into()),
            had_body: AtomicBool::new(false),
            handles: AtomicBool::new(false),
            stays: AtomicBool::new(false),
            tunnels: Mutex::default(),
        }
    }

    /// What a phase of the server is to this connection.
    #[inline]
    pub(super) fn sees(&self, phase: Phase) -> Phase {
        if phase == Phase::Moving && self.stays.load(Relaxed) {
            return Phase::Draining;
        }
        phase
    }

    /// The server ends, and this connection with it.
    #[inline]
    pub(super) fn draining(&self) -> bool {
        self.sees(self.shared.phases.current()) >= Phase::Draining
    }

    /// It is tried once.
    pub(super) fn stay(&self) {
        self.stays.store(true, Relaxed);
    }

    /// Between requests and flushed: what this process has of the connection is its socket and the
    /// bytes that are read and not parsed. Nothing less will do: in the middle of a request the
    /// next process would take the rest of its body for a request, and what is not flushed is lost.
    ///
    /// Only right after the connection was polled and is pending.
    pub(super) fn is_movable(&self) -> bool {
        // It never was otherwise in any test. If it is, hyper has changed.
        self.is_between_requests() && !self.handles.load(Relaxed)
    }

    /// As hyper shows it.
    pub(super) fn is_between_requests(&self) -> bool {
        self.is_waiting() && self.is_clean()
    }

    #[inline]
    pub(super) fn wrote(&self) {
        self.clean.store(false, Relaxed);
    }

    #[inline]
    pub(super) fn flushed(&self) {
        self.clean.store(true, Relaxed);
    }

    #[inline]
    pub(super) fn is_clean(&self) -> bool {
        self.clean.load(Relaxed)
    }

    #[inline]
    pub(super) fn read(&self, bytes: usize) {
        if bytes == 0 {
            self.ended.store(true, Relaxed);
        } else {
            add(&self.reads);
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// A request is given to the app, so its head is there.
    #[inline]
    pub(super) fn began(&self, with_body: bool) {
        self.waiting.store(false, Relaxed);
        add(&self.requests);
        self.handles.store(true, Relaxed);
        self.had_body.store(with_body, Relaxed);
    }

    pub(super) fn keep_open(&self, tunnel: Began) {
        let mut tunnels = self.tunnels.lock().unwrap_or_else(PoisonError::into_inner);
        tunnels.push(tunnel);
    }

    #[inline]
    pub(super) fn handler_ended(&self) {
        self.handles.store(false, Relaxed);
    }

    /// Counts it as cut, by what it was doing.
    pub(super) fn count_cut(&self) {
        let cut = &self.shared.counts.cut;
        count(if !self.was_used() {
            &cut.silent
        } else if self.is_waiting() && self.is_clean() && !self.is_mid_head() {
            &cut.idle
        } else {
            &cut.busy
        });
    }

    /// Whether a request was ever read.
    #[inline]
    pub(super) fn was_used(&self) -> bool {
        self.requests.load(Relaxed) > 0
    }

    pub(super) fn last_had_body(&self) -> bool {
        self.had_body.load(Relaxed)
    }

    fn begin_to_wait(&self) {
        self.waiting.store(true, Relaxed);
        add(&self.waits);
        self.reads_before.store(self.reads.load(Relaxed), Relaxed);
    }

    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Relaxed)
    }

    #[inline]
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// Bytes have come since hyper began to wait for a head, which is still not complete.
    #[inline]
    pub(super) fn is_mid_head(&self) -> bool {
        self.is_waiting() && self.reads.load(Relaxed) != self.reads_before.load(Relaxed)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let tunnels = self.tunnels.get_mut();
        for tunnel in tunnels.unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.shared.requests.end(tunnel);
        }
    }
}

/// Not `fetch_add`: there is one writer, and a locked instruction costs more.
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

/// hyper's clock for the head-read timer. It measures nothing by itself: the connection task
/// decides when the time is over (see `patience`), so that the usual request, whose head comes
/// at once, costs neither a timer nor a look at the time.
#[derive(Debug)]
pub(super) struct HeadTimer {
    probe: Arc<Probe>,
    /// What hyper takes for the time.
    always: Instant,
}

impl HeadTimer {
    pub(super) fn new(probe: Arc<Probe>) -> Self {
        Self {
            probe,
            always: Instant::now(),
        }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.probe.begin_to_wait();
        Box::pin(HeadSleep)
    }

    fn sleep_until(&self, _deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(Duration::ZERO)
    }

    fn now(&self) -> Instant {
        self.always
    }
}

/// It never ends. As it has no content, boxing it allocates nothing.
#[derive(Debug)]
struct HeadSleep;

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
