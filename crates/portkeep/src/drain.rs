//! Drain: state that the connections of a server share, and the wait for their end.

mod guard;
mod idle;
mod phase;
mod report;
mod requests;
mod supervise;
mod taken_out;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::limits::{Ended, Facts, Limits as ConnectionLimits, Order, Reason, Register, decide};
use crate::moving::Departures;

/// How long idle connections that make room may take to end, before others are chosen.
const ROOM: Duration = Duration::from_secs(1);
/// How long a connection is idle before it makes room: its next request may be on its way, and the first one of a new client is.
const IN_FLIGHT: Duration = Duration::from_millis(100);

pub(crate) use guard::{Live, Task};
pub(crate) use phase::{Phase, Phases};
pub(crate) use report::{Cut, Report, answered_in_all};
pub(crate) use requests::{Began, Requests};
pub(crate) use supervise::{Limits, ShutdownCause, supervise};
pub(crate) use taken_out::TakenOut;

/// State that accept loops, connections and the supervisor share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) phases: Phases,
    /// How long an idle HTTP/1 connection is left open while draining.
    pub(crate) linger: Duration,
    /// Connections that cannot move end as soon as they are idle.
    hurried: AtomicBool,
    /// Whether the operator has taken the app out: connections end in good order, and new ones with their first answer.
    taken_out: TakenOut,
    /// Where connections go that move.
    pub(crate) departures: Departures,
    /// Whether HTTP/2 connections are served so that they can move.
    #[cfg(feature = "http2")]
    moves_http2: bool,
    /// Open sockets, including those of upgraded connections, which none of our tasks drives.
    live: AtomicUsize,
    /// Running connection tasks.
    tasks: AtomicUsize,
    /// Notified whenever one of the two becomes zero.
    emptied: Notify,
    /// Connections since the start.
    arrived: AtomicU64,
    /// Notified when there is a connection again.
    filled: Notify,
    /// Limits of each connection.
    pub(crate) limits: ConnectionLimits,
    /// Most open connections.
    most: usize,
    /// Whether too few connections were idle at the last look.
    tight: AtomicBool,
    /// Notified when there are no more than `most` again.
    freed: Notify,
    pub(crate) register: Register,
    pub(crate) requests: Requests,
    pub(crate) counts: Counts,
}

/// Counts of a server so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Requests answered.
    pub(crate) answered: u64,
    /// Connections that a limit has ended.
    pub(crate) ended: u64,
}

/// Counts of a drain.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Connections that the next generation has taken.
    pub(crate) moved: AtomicU64,
    /// Those of them that are WebSockets.
    pub(crate) handed_over: AtomicU64,
    /// Requests answered.
    pub(crate) answered: AtomicU64,
    /// Idle connections closed after the linger time.
    pub(crate) idle_closed: AtomicU64,
    pub(crate) cut: Cut<AtomicU64>,
    /// Connections ended by a limit, since the start.
    pub(crate) ended: Ended,
}

impl Shared {
    /// With the default limits, and any number of connections.
    pub(crate) fn new(linger: Duration, departures: Departures) -> Self {
        Self {
            phases: Phases::default(),
            linger,
            hurried: AtomicBool::new(false),
            taken_out: TakenOut::default(),
            departures,
            #[cfg(feature = "http2")]
            moves_http2: false,
            live: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            emptied: Notify::new(),
            arrived: AtomicU64::new(0),
            filled: Notify::new(),
            limits: ConnectionLimits::new(),
            most: usize::MAX,
            tight: AtomicBool::new(false),
            freed: Notify::new(),
            register: Register::default(),
            requests: Requests::new(),
            counts: Counts::default(),
        }
    }

    /// With these limits, and `most` connections.
    pub(crate) fn limited(self, limits: ConnectionLimits, most: usize) -> Self {
        Self {
            limits,
            most,
            ..self
        }
    }

    /// Serves HTTP/2 connections so that they can move.
    #[cfg(feature = "http2")]
    pub(crate) fn moving_http2(self, moves_http2: bool) -> Self {
        Self {
            moves_http2,
            ..self
        }
    }

    #[cfg(feature = "http2")]
    pub(crate) fn moves_http2(&self) -> bool {
        self.moves_http2
    }

    /// Ends connections that cannot move as soon as they are idle.
    pub(crate) fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::SeqCst)
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    pub(crate) fn tasks(&self) -> usize {
        self.tasks.load(Ordering::SeqCst)
    }

    /// The order for a connection that has been in its state for `waited`, and has this age.
    pub(crate) fn decide(&self, facts: Facts, waited: Duration, age: Duration) -> Option<Order> {
        let ending = self.taken_out.ending(&self.limits, age);
        decide(&self.limits, self.linger, facts, waited, ending)
    }

    pub(crate) fn taken_out(&self) -> &TakenOut {
        &self.taken_out
    }

    /// Whether there are more connections than allowed, and too few idle ones: then each one ends after its answer.
    #[inline]
    pub(crate) fn is_tight(&self) -> bool {
        self.tight.load(Ordering::Relaxed) && self.is_crowded()
    }

    /// Whether there are more connections than allowed.
    pub(crate) fn is_crowded(&self) -> bool {
        self.live() > self.most
    }

    /// Whether there are as many connections as allowed.
    pub(crate) fn is_full(&self) -> bool {
        self.live() >= self.most
    }

    /// If there are too many connections, ends those that have been idle for longest. Returns how soon more may be idle for long
    /// enough.
    fn thin_out(&self) -> Duration {
        let many = self.live().saturating_sub(self.most);
        if many == 0 {
            return ROOM;
        }
        // Choosing them takes a look at each connection, so with many of them it chooses a few more.
        let some = many.max(self.most / 64);
        let order = Order::End(Reason::Crowded);
        let spare = self.register.tell_spare(some, IN_FLIGHT, order);
        self.tight.store(spare.idle < many, Ordering::Relaxed);
        match spare.told < many.min(spare.idle) {
            true => IN_FLIGHT,
            false => ROOM,
        }
    }

    /// Waits until there are no more connections than allowed. Calls `waiting` if none ends at once.
    pub(crate) async fn room(&self, mut waiting: impl FnMut()) {
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if !self.is_crowded() {
                return;
            }
            let patience = self.thin_out();
            if timeout(patience, freed).await.is_err() && patience == ROOM {
                waiting();
            }
        }
    }

    /// Current counts for the service manager's status.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            answered: self.requests.ended(),
            ended: self.counts.ended.now().total(),
        }
    }

    /// Waits until there is a connection, or one has come that `told` does not include.
    pub(crate) async fn worth_a_look(&self, told: Tally) {
        // A connection is counted before it is gone.
        while self.live() == 0 && self.tally() == told {
            self.filled.notified().await;
        }
    }

    /// Waits until no socket is open.
    pub(crate) async fn all_closed(&self) {
        while self.live() > 0 {
            self.emptied.notified().await;
        }
    }

    /// Waits until no connection task runs.
    async fn all_ended(&self) {
        while self.tasks() > 0 {
            self.emptied.notified().await;
        }
    }
}

/// Adds one, to a count that is only read when everything has ended.
pub(crate) fn count(counter: &AtomicU64) {
    count_many(counter, 1);
}

fn count_many(counter: &AtomicU64, many: usize) {
    counter.fetch_add(many as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::yield_now;

    use super::{Live, Shared};
    use crate::moving::departures;

    #[tokio::test]
    async fn a_connection_that_came_and_went_unseen_is_worth_a_look() {
        let shared = Arc::new(Shared::new(Duration::ZERO, departures().0));
        let told = shared.tally();
        let look = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { shared.worth_a_look(told).await }
        });
        yield_now().await;
        assert!(!look.is_finished(), "nobody came");
        let live = Live::new(&shared);
        shared.requests.end(shared.requests.begin());
        drop(live);
        tokio::time::timeout(Duration::from_secs(30), look)
            .await
            .expect("it looks")
            .expect("it does not panic");
    }
}
