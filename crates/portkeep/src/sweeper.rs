//! Ends connections that exceed a limit: looks at all of them at intervals.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::drain::{Phase, Shared, Tally, answered_in_all};
use crate::drain_files::{DrainFiles, Drained};
use crate::limits::Register;
use crate::notify;

/// The shortest time between two updates of the status.
const NEWS: Duration = Duration::from_secs(5);

/// The interval of looks at the drain files while there are connections, and of looks at connections that end because of
/// them.
const DRAIN_LOOK: Duration = Duration::from_millis(500);

/// Never returns. `status` goes before the rest of the status for the service manager, if there is one; `drains` say
/// whether the app is taken out.
pub(crate) async fn sweep(
    shared: Arc<Shared>,
    status: Option<String>,
    drains: DrainFiles,
) -> Infallible {
    let mut told = Tally::default();
    let mut told_at = None;
    let mut look_at = Instant::now();
    loop {
        // The end of being taken out is noticed without a connection: the first client must not be sent away.
        if !shared.taken_out().is_ending() {
            shared.worth_a_look(told).await;
        }
        if drains.is_empty() {
            sleep(shared.limits.step()).await;
        } else {
            shared
                .taken_out()
                .set(drains.look().and_then(Drained::ending));
            sleep(shared.limits.step().min(DRAIN_LOOK)).await;
            if !shared.taken_out().is_ending() && look_at.elapsed() < shared.limits.step() {
                continue;
            }
            look_at = Instant::now();
        }
        for part in Register::parts() {
            shared
                .register
                .sweep(part, |facts, waited, age| shared.decide(facts, waited, age));
            // There may be very many.
            tokio::task::yield_now().await;
        }
        let now = shared.tally();
        let is_due = told_at.is_none_or(|at: Instant| at.elapsed() >= NEWS);
        if now != told && is_due && shared.phases.current() == Phase::Serving {
            told = now;
            told_at = Some(Instant::now());
            if let Some(status) = &status {
                notify::status(&news(status, now, &shared));
            }
        }
    }
}

fn news(status: &str, now: Tally, shared: &Shared) -> String {
    let text = format!("{status}, {}", answered_in_all(now.answered));
    if now.ended > 0 {
        format!("{text}; {}", shared.counts.ended.now())
    } else {
        text
    }
}
