//! Supervises a drain: waits for the connections to end, reports to the service manager, cuts at the deadline.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::report::handed_over;
use super::{Phase, Report, Shared, answered_in_all, count_many};
use crate::notify;
use crate::signals::Signals;

/// How often the service manager hears that the drain goes on.
const NEWS: Duration = Duration::from_secs(5);
/// How far each news moves the stop timeout: a runtime that hangs is killed this soon.
const EXTENSION: Duration = Duration::from_secs(15);
/// How long clients of idle connections may take to hear that a process ends that nobody has asked
/// anything: new clients wait for it. No request is cut by this.
const IDLE_CLIENTS: Duration = Duration::from_secs(3);
/// How long connection tasks may take to notice that they are cut. Only one whose handler
/// blocks the thread needs more than a moment.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Who asked for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShutdownCause {
    Signal(&'static str),
    Token,
    /// Nobody: nothing was going on for long enough.
    Idle,
}

/// How long a drain may last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) deadline: Instant,
    pub(crate) timeout: Duration,
    /// From then on answers say that the connection ends, and nothing is moved any more: a
    /// connection that is never idle must not be cut without a word.
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
    // A drain that the token began has no signal yet. The first one may even be the reason: a
    // handler that waits for `shutdown` can hear it before the server does.
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

/// The stop timeout of the unit may be shorter than the time this server was given. It is moved
/// in small steps, from inside the runtime, so that a hung process does not profit.
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
        // They did not get to say what they were doing; whoever blocks is doing something.
        count_many(&shared.counts.cut.busy, shared.tasks());
    }
}
