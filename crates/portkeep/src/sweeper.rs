//! Looks at all connections now and then, and tells those to end that keep no limit.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::drain::{Phase, Shared};
use crate::limits::Register;
use crate::notify;

/// How far two words about it in the status are apart at least.
const NEWS: Duration = Duration::from_secs(5);

/// Never returns. `status` is what the service manager is told beside.
pub(crate) async fn sweep(shared: Arc<Shared>, status: String) -> Infallible {
    let mut told = 0;
    let mut told_at = None;
    loop {
        shared.worth_a_look(told).await;
        sleep(shared.limits.step()).await;
        for part in Register::parts() {
            shared
                .register
                .sweep(part, |facts, waited, age| shared.judge(facts, waited, age));
            // There may be very many.
            tokio::task::yield_now().await;
        }
        let ended = shared.counts.ended.now();
        let is_due = told_at.is_none_or(|at: Instant| at.elapsed() >= NEWS);
        if ended.total() != told && is_due && shared.phases.current() == Phase::Serving {
            (told, told_at) = (ended.total(), Some(Instant::now()));
            notify::status(&format!("{status}; {ended}"));
        }
    }
}
