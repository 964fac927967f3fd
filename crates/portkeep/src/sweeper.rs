//! Looks at all connections now and then, and tells those to end that keep no limit.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::drain::{Phase, Shared, answered_in_all};
use crate::limits::Register;
use crate::notify;

/// How far two words about it in the status are apart at least.
const NEWS: Duration = Duration::from_secs(5);

/// Never returns. `status` is what the service manager is told beside.
pub(crate) async fn sweep(shared: Arc<Shared>, status: String) -> Infallible {
    let mut told = 0;
    let mut told_answers = 0;
    let mut told_at = None;
    loop {
        // An answer that nobody was told of is told, and then there is nothing to look at where nothing is open.
        if shared.requests.ended() == told_answers {
            shared.worth_a_look(told).await;
        }
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
        let answers = shared.requests.ended();
        let is_news = ended.total() != told || answers != told_answers;
        if is_news && is_due && shared.phases.current() == Phase::Serving {
            (told, told_answers) = (ended.total(), answers);
            told_at = Some(Instant::now());
            let mut text = format!("{status}, {}", answered_in_all(answers));
            if told > 0 {
                text = format!("{text}; {ended}");
            }
            notify::status(&text);
        }
    }
}
