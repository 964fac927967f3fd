//! Observations that hyper does not offer about an HTTP/1 connection.
//!
//! Two facts are needed: is the connection *between requests*, and is everything *flushed*? hyper starts its head-read
//! timer when it begins to wait for a request, and gives the request to the app when it has the head: our timer and the
//! app's service know the first. It flushes the I/O object only when its own write buffer is empty: the I/O object knows
//! the second.
//!
//! Both hold right after the connection was polled and is pending, in the task that polled it.

mod facts;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Context;
use std::time::Duration;

use http::Extensions;
use tokio::time::Instant;

#[cfg(feature = "http2")]
use super::batching::Handlers;
use super::orders::{OrderSlot, OrderWaker};
use super::retry_pause::Attempts;
use super::{Arrival, Peer};
use crate::drain::{Began, Phase, Shared, count};
use crate::limits::{Order, Reason, Watched};

/// Observations of one connection. One task writes and reads all of them; they are atomic because hyper's types have to be
/// `Sync`.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Peer,
    /// Further extensions for requests.
    known: OnceLock<Extensions>,
    /// The name of the listener that accepted it.
    pub(super) listener: Arc<str>,
    /// Nothing was written since the last flush.
    clean: AtomicBool,
    /// Whether the client has ended its side.
    ended: AtomicBool,
    /// Number of reads that brought bytes.
    reads: AtomicU64,
    /// Whether hyper waits for a head.
    waiting: AtomicBool,
    /// Number of heads that it has waited for.
    waits: AtomicU64,
    /// `reads` at the beginning of the wait.
    reads_before: AtomicU64,
    requests: AtomicU64,
    /// Whether the last request had a body.
    had_body: AtomicBool,
    /// Whether a handler runs. Meaningless for HTTP/2, where many do.
    handles: AtomicBool,
    /// Whether it could not be moved and is not tried again.
    stays: AtomicBool,
    /// Its [`Stage`].
    stage: AtomicU8,
    /// Whether a part of a head came with it from another process.
    begun: bool,
    /// Number of successful writes; for HTTP/2 only of those that are longer than a ping.
    writes: AtomicU64,
    /// Ended requests of HTTP/2. Unlike the fields above, tasks of all threads count this and the next three.
    over: AtomicU64,
    /// Requests that wait for their bodies.
    bodies: AtomicU64,
    /// Answers of HTTP/2 whose client has not taken the last part.
    answers: AtomicU64,
    /// Number of parts of awaited bodies that came, and of answers that were taken.
    pieces: AtomicU64,
    /// `writes` plus one, when the unsent bytes were first counted.
    look: AtomicU64,
    /// Their number then.
    unsent: AtomicU64,
    told: OrderSlot,
    /// Whether the next answer is the last.
    last: AtomicBool,
    /// When it came here, and its age then.
    came: Instant,
    before: Duration,
    /// HTTP/2 streams that became tunnels: their end is unknown, so they are open as long as the connection.
    tunnels: Mutex<Vec<Began>>,
    /// Those of HTTP/2.
    #[cfg(feature = "http2")]
    pub(super) handlers: Handlers,
    /// Attempts to move it.
    pub(super) attempts: Attempts,
}

/// The unsent bytes are unknown.
const UNKNOWN: u64 = u64::MAX;
/// HTTP/2 sends no more than this while no request is open: a ping has 17 bytes.
const SMALL: usize = 64;

/// What a connection is to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its first bytes have not come.
    Beginning = 0,
    Http1 = 1,
    Http2 = 2,
    /// The app has it.
    Apps = 3,
}

impl Probe {
    pub(super) fn new(shared: Arc<Shared>, arrival: &Arrival) -> Self {
        let probe = Self {
            shared,
            peer: arrival.peer,
            known: OnceLock::new(),
            listener: Arc::clone(&arrival.listener),
            clean: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            waits: AtomicU64::new(0),
            reads_before: AtomicU64::new(0),
            requests: AtomicU64::new(arrival.used.into()),
            had_body: AtomicBool::new(false),
            handles: AtomicBool::new(false),
            stays: AtomicBool::new(false),
            stage: AtomicU8::new(Stage::Beginning as u8),
            begun: !arrival.unread.is_empty(),
            writes: AtomicU64::new(0),
            over: AtomicU64::new(0),
            bodies: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            pieces: AtomicU64::new(0),
            look: AtomicU64::new(0),
            unsent: AtomicU64::new(UNKNOWN),
            told: OrderSlot::default(),
            last: AtomicBool::new(false),
            came: Instant::now(),
            before: arrival.age,
            tunnels: Mutex::default(),
            #[cfg(feature = "http2")]
            handlers: Handlers::after(arrival.used.into()),
            attempts: Attempts::default(),
        };
        probe.learn(arrival.known.clone());
        probe
    }

    /// Adds extensions for requests.
    pub(super) fn learn(&self, known: Extensions) {
        if !known.is_empty() {
            // Once: they do not change.
            let _ = self.known.set(known);
        }
    }

    #[inline]
    pub(super) fn introduce(&self, extensions: &mut Extensions) {
        self.peer.introduce(extensions);
        if let Some(known) = self.known.get() {
            extensions.extend(known.clone());
        }
    }

    /// What a phase of the server means for this connection.
    #[inline]
    pub(super) fn sees(&self, phase: Phase) -> Phase {
        if phase == Phase::Moving && self.stays.load(Relaxed) {
            return Phase::Draining;
        }
        phase
    }

    /// Whether the server ends, and this connection with it.
    #[inline]
    pub(super) fn draining(&self) -> bool {
        self.sees(self.shared.phases.current()) >= Phase::Draining
    }

    /// Whether the current answer is the last.
    #[inline]
    pub(super) fn is_last(&self) -> bool {
        self.last.load(Relaxed)
            || self.draining()
            || self.shared.is_tight()
            || self.shared.taken_out().is_ending()
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }

    #[inline]
    fn is(&self, stage: Stage) -> bool {
        self.stage.load(Relaxed) == stage as u8
    }

    /// The order that it has to follow now, if any. The task is woken by the next.
    ///
    /// Only right after the connection was polled and is pending.
    #[inline]
    pub(super) fn order(&self, cx: &mut Context<'_>, ear: &mut OrderWaker) -> Option<Order> {
        let (order, then) = self.told.hear(cx, ear)?;
        let now = self.facts();
        // An end in good order does not need an unchanged state.
        let at_any_time = order == Order::End(Reason::Age) && now.http2;
        let unchanged = (now.state, now.stamp) == (then.state, then.stamp);
        (at_any_time || unchanged).then_some(order)
    }

    /// Waits for an order.
    #[cfg(feature = "http2")]
    pub(super) async fn ordered(&self) -> Order {
        let mut ear = OrderWaker::default();
        std::future::poll_fn(|cx| match self.order(cx, &mut ear) {
            // Polling looks already.
            Some(Order::Look | Order::Last) | None => std::task::Poll::Pending,
            Some(order) => std::task::Poll::Ready(order),
        })
        .await
    }

    /// HTTP/2: the request of another process is over.
    #[cfg(feature = "http2")]
    pub(super) fn goes_on(&self) {
        self.over.store(self.requests.load(Relaxed), Relaxed);
    }

    /// Whether it does not leave this process.
    #[cfg(feature = "http2")]
    pub(super) fn stays(&self) -> bool {
        self.stays.load(Relaxed)
    }

    /// It is not tried again.
    pub(super) fn stay(&self) {
        self.stays.store(true, Relaxed);
    }

    /// It could not be taken apart: it is tried again for a limited time.
    pub(super) fn try_later(&self, now: Instant) {
        if !self.attempts.add(now, self.shared.linger) {
            self.stay();
        }
    }

    /// Whether it is between requests and flushed: then its socket and the unparsed bytes are all that this process has of
    /// it. Otherwise the next process would take the rest of a body for a request, or lose unflushed bytes.
    ///
    /// Valid only right after the connection was polled and is pending.
    pub(super) fn is_movable(&self) -> bool {
        // No test has ever seen otherwise. If it happens, hyper has changed.
        self.is_between_requests() && !self.handles.load(Relaxed)
    }

    /// By hyper's behaviour.
    pub(super) fn is_between_requests(&self) -> bool {
        self.is_waiting() && self.is_clean()
    }

    #[inline]
    pub(super) fn wrote(&self) {
        self.clean.store(false, Relaxed);
    }

    /// The socket has taken this many bytes.
    #[inline]
    pub(super) fn sent(&self, bytes: usize) {
        if bytes > SMALL || !self.is(Stage::Http2) {
            add(&self.writes);
        }
    }

    /// The socket takes nothing. `unsent` counts the bytes that its client has not received, which is called only if a
    /// limit needs it.
    #[inline]
    pub(super) fn blocked(&self, unsent: impl FnOnce() -> Option<u32>) {
        if self.look.load(Relaxed) == self.writes.load(Relaxed) + 1 {
            self.compare(unsent().map_or(UNKNOWN, u64::from));
        }
    }

    #[cold]
    fn compare(&self, unsent: u64) {
        let before = self.unsent.swap(unsent, Relaxed);
        // A buffer in the kernel may be full for long while its client takes bytes from it.
        if unsent < before && before != UNKNOWN {
            add(&self.writes);
        }
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

    /// A request was given to the app, so its head is complete.
    #[inline]
    pub(super) fn began(&self, with_body: bool) {
        self.waiting.store(false, Relaxed);
        add(&self.requests);
        self.handles.store(true, Relaxed);
        self.had_body.store(with_body, Relaxed);
    }

    /// A request of HTTP/2 has ended.
    pub(super) fn ended(&self) {
        self.over.fetch_add(1, Relaxed);
    }

    /// A handler begins or stops waiting for the body of its request.
    pub(super) fn awaits_body(&self, more: bool) {
        change(&self.bodies, more);
    }

    /// HTTP/2: a part of an answer waits for the client, or was taken by it.
    pub(super) fn awaits_client(&self, more: bool) {
        change(&self.answers, more);
    }

    pub(super) fn piece(&self) {
        self.pieces.fetch_add(1, Relaxed);
    }

    pub(super) fn keep_open(&self, tunnel: Began) {
        let mut tunnels = self.tunnels.lock().unwrap_or_else(PoisonError::into_inner);
        tunnels.push(tunnel);
    }

    #[inline]
    pub(super) fn handler_ended(&self) {
        self.handles.store(false, Relaxed);
    }

    /// Counts it as cut, by its state.
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

    /// Number of requests, one more if another process had some.
    #[inline]
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Whether a request was ever read.
    #[inline]
    pub(super) fn was_used(&self) -> bool {
        self.requests() > 0
    }

    pub(super) fn last_had_body(&self) -> bool {
        self.had_body.load(Relaxed)
    }

    pub(super) fn begin_to_wait(&self) {
        self.waiting.store(true, Relaxed);
        add(&self.waits);
        self.reads_before.store(self.reads.load(Relaxed), Relaxed);
    }

    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Relaxed)
    }

    /// HTTP/2: whether no stream is open.
    #[cfg(feature = "http2")]
    pub(super) fn has_no_stream(&self) -> bool {
        self.over.load(Relaxed) == self.requests.load(Relaxed)
    }

    #[inline]
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// Whether bytes have come since hyper began to wait for a head, which is still incomplete.
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

fn change(counter: &AtomicU64, more: bool) {
    if more {
        counter.fetch_add(1, Relaxed);
    } else {
        counter.fetch_sub(1, Relaxed);
    }
}
