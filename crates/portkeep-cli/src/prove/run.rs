//! A run from its start to its report.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::client::{self, Shared};
use super::pace::Pace;
use super::plan::Plan;
use super::progress::Progress;
use super::reloads;
use super::report::Report;
use super::sample::Observations;

/// Time under load before the first reload and after the last one, for comparison.
const BESIDE: Duration = Duration::from_secs(2);

/// Loads, reloads, and counts.
///
/// # Errors
/// When the reload command cannot be run at all. Its failure is part of the report.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<Report> {
    let plan = Arc::new(plan);
    let begin = Instant::now();
    let shared = Shared {
        pace: Arc::new(Pace::new(begin, plan.rate)),
        progress: Arc::new(Progress::new(plan.times)),
        plan: Arc::clone(&plan),
    };
    let mut clients = client::start(&shared);
    tokio::time::sleep(BESIDE).await;
    let reloads = reloads::run(&plan, begin, &shared.progress).await;
    if reloads.is_ok() {
        tokio::time::sleep(BESIDE.max(plan.settle)).await;
    }
    let end = Instant::now();
    shared.pace.end_at(end);
    let mut seen = Observations::default();
    while let Some(one) = clients.join_next().await {
        // A panic is a bug of this program, and `join_next` would hide it.
        seen.add(one.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())));
    }
    shared.progress.end();
    let (reloads, releases) = reloads?;
    Ok(Report::new(
        &plan,
        seen,
        reloads,
        releases,
        end.duration_since(begin),
    ))
}
