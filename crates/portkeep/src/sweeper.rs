//! Looks at all connections now and then, and tells those to end that keep no limit.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::drain::{Phase, Shared, answered_in_all};
use crate::drain_files::{DrainFiles, Drained};
use crate::limits::Register;
use crate::notify;

/// How far two words about it in the status are apart at least.
const NEWS: Duration = Duration::from_secs(5);

/// How often it is looked whether the app is to be taken out, where there are connections; and how often at these as long as
/// they end for that.
const DRAIN_LOOK: Duration = Duration::from_millis(500);

/// Never returns. `status` is what the service manager is told beside, if it is told something; `drains` say whether the app is
/// to be taken out.
pub(crate) async fn sweep(
    shared: Arc<Shared>,
    status: Option<String>,
    drains: DrainFiles,
) -> Infallible {
    let mut told = 0;
    let mut told_answers = 0;
    let mut told_at = None;
    let mut look_at = Instant::now();
    loop {
        // An answer that nobody was told of is told, and then there is nothing to look at where nothing is open. That it is put
        // back is noticed without anybody who connects: the first one is not to be sent away.
        let is_told = status.is_none() || shared.requests.ended() == told_answers;
        if is_told && !shared.taken_out().is_ending() {
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
                .sweep(part, |facts, waited, age| shared.judge(facts, waited, age));
            // There may be very many.
            tokio::task::yield_now().await;
        }
        let ended = shared.counts.ended.now();
        let is_due = told_at.is_none_or(|at: Instant| at.elapsed() >= NEWS);
        let answers = shared.requests.ended();
        let is_news = ended.total() != told || answers != told_answers;
        if is_news && is_due && shared.phases.current() == Phase::Serving {
            (told, told_answers) = (ended.total(), answers);
            told_at = Some(Instant::now());
            let Some(status) = &status else {
                continue;
            };
            let mut text = format!("{status}, {}", answered_in_all(answers));
            if told > 0 {
                text = format!("{text}; {ended}");
            }
            notify::status(&text);
        }
    }
}
