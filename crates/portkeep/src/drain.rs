//! Ending without losing anything: what the connections of a server share, and who waits for them.

mod guard;
mod idle;
mod phase;
mod report;
mod requests;
mod supervise;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::moving::Departures;

pub(crate) use guard::{Live, Task};
pub(crate) use phase::{Phase, Phases};
pub(crate) use report::{Cut, Report};
pub(crate) use requests::{Began, Requests};
pub(crate) use supervise::{Asked, Limits, supervise};

/// What the accept loops, the connections and the one who drains them have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) phases: Phases,
    /// How long an idle HTTP/1 connection is left open while draining.
    pub(crate) linger: Duration,
    /// Connections that cannot move end as soon as they are idle.
    hurried: AtomicBool,
    /// Where connections go that are moved.
    pub(crate) departures: Departures,
    /// Sockets that are open, also those of upgraded connections, which no task of ours drives.
    live: AtomicUsize,
    /// Connection tasks that run.
    tasks: AtomicUsize,
    /// Told whenever one of the two becomes zero.
    emptied: Notify,
    /// Connections that ever came.
    arrived: AtomicU64,
    pub(crate) requests: Requests,
    pub(crate) counts: Counts,
}

/// What happened while draining.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Connections that the next generation has taken.
    pub(crate) moved: AtomicU64,
    /// Requests answered.
    pub(crate) answered: AtomicU64,
    /// Idle connections closed after the linger time.
    pub(crate) idle_closed: AtomicU64,
    pub(crate) cut: Cut<AtomicU64>,
}

impl Shared {
    pub(crate) fn new(linger: Duration, departures: Departures) -> Self {
        Self {
            phases: Phases::default(),
            linger,
            hurried: AtomicBool::new(false),
            departures,
            live: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            emptied: Notify::new(),
            arrived: AtomicU64::new(0),
            requests: Requests::new(),
            counts: Counts::default(),
        }
    }

    /// Connections that cannot move shall end as soon as they are idle.
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

/// Adds one; for counts that are only read when everything has ended.
pub(crate) fn count(counter: &AtomicU64) {
    count_many(counter, 1);
}

fn count_many(counter: &AtomicU64, many: usize) {
    counter.fetch_add(many as u64, Ordering::Relaxed);
}
