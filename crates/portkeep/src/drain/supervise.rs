//! Supervises a drain: waits for the connections to end, reports to the service manager, cuts at the deadline.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::report::handed_over;
use super::{Phase, Report, Shared, answered_in_all, count_many};
use crate::notify;
use crate::signals::Signals;

/// How often the service manager is told that the drain continues.
const NEWS: Duration = Duration::from_secs(5);
/// How far each message extends the stop timeout: a hung runtime is killed this soon.
const EXTENSION: Duration = Duration::from_secs(15);
/// How long idle clients may take to learn of the end of a process that ends because it is idle: new clients wait for it.
/// This cuts no request.
const IDLE_CLIENTS: Duration = Duration::from_secs(3);
/// How long connection tasks may take to notice that they are cut. Only one whose handler blocks the thread needs longer.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Cause of the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShutdownCause {
    Signal(&'static str),
    Token,
    /// The server was idle for long enough.
    Idle,
}

/// Time limits of a drain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) deadline: Instant,
    pub(crate) timeout: Duration,
    /// After this, answers announce the end of their connection, and nothing moves any more: a connection that is never
    /// idle must not be cut without notice.
    pub(crate) last_moves: Instant,
}

impl Limits {
    pub(crate) fn from_now(timeout: Duration, linger: Duration) -> Self {
        let deadline = Instant::now() + timeout;
        Self {
            deadline,
            timeout,
            last_moves: deadline - linger.min(timeout / 2),
        }
    }
}

/// Returns when every connection has ended, or has been cut, at the deadline or by a second signal.
pub(crate) async fn supervise(
    shared: &Shared,
    signals: &mut Signals,
    asked: ShutdownCause,
    limits: Limits,
) -> Report {
    let began = Instant::now();
    announce(shared, asked, limits);
    // A drain that the token began has no signal yet. The first signal may even be its reason: a handler that waits for
    // `shutdown` can receive it before the server does.
    let mut signalled = matches!(asked, ShutdownCause::Signal(_));
    let moves = || shared.phases.current() < Phase::Draining;
    let mut deadline = match asked {
        ShutdownCause::Idle => limits.deadline.min(began + IDLE_CLIENTS),
        ShutdownCause::Signal(_) | ShutdownCause::Token => limits.deadline,
    };

    let mut news = interval(NEWS);
    news.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shared.all_closed() => break,
            signal = signals.next() => {
                if signalled {
                    tracing::warn!(signal, "asked again, the drain ends now");
                    cut(shared).await;
                    break;
                }
                signalled = true;
                announce(shared, ShutdownCause::Signal(signal), limits);
            }
            () = sleep_until(deadline) => {
                if deadline < limits.deadline && shared.requests.open() > 0 {
                    deadline = limits.deadline;
                    continue;
                }
                cut(shared).await;
                break;
            }
            () = sleep_until(limits.last_moves), if moves() => {
                shared.phases.advance(Phase::Draining);
            }
            _ = news.tick() => tell(shared, limits.deadline),
        }
    }
    Report::new(shared, began.elapsed())
}

fn announce(shared: &Shared, asked: ShutdownCause, limits: Limits) {
    let connections = shared.live();
    let timeout = limits.timeout;
    match asked {
        ShutdownCause::Signal(signal) => {
            tracing::info!(
                signal,
                connections,
                ?timeout,
                "draining; another signal ends it at once"
            );
            notify::stopping(&status(shared));
        }
        ShutdownCause::Token => tracing::info!(connections, ?timeout, "draining, as the app asked"),
        ShutdownCause::Idle => tracing::info!(connections, "idle for long enough, ending"),
    }
}

/// The unit's stop timeout may be shorter than this server's. It is extended in small steps, from inside the runtime, so
/// that a hung process does not profit.
fn tell(shared: &Shared, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    notify::extend_timeout(EXTENSION.min(left + NEWS), &status(shared));
}

fn status(shared: &Shared) -> String {
    let mut status = format!(
        "draining, {} requests in flight, {} connections left, {}",
        shared.requests.open(),
        shared.live(),
        answered_in_all(shared.requests.ended())
    );
    let websockets = shared.counts.handed_over.load(Ordering::Relaxed);
    if let Some(handed_over) = handed_over(websockets) {
        status.push_str("; ");
        status.push_str(&handed_over);
    }
    status
}

async fn cut(shared: &Shared) {
    // A socket without a task was upgraded: its task ended when the app took it over.
    let upgraded = shared.live().saturating_sub(shared.tasks());
    count_many(&shared.counts.cut.upgraded, upgraded);
    shared.phases.advance(Phase::Cut);
    if timeout(CUT_GRACE, shared.all_ended()).await.is_err() {
        // They could not report their state; a task that blocks is busy.
        count_many(&shared.counts.cut.busy, shared.tasks());
    }
}
