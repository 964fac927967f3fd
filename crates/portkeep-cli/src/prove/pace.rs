//! Schedule of requests at a fixed rate, whatever became of the earlier ones.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The timer's own grain. A request that is late by less was late by the timer, not by a server that kept its connection
/// busy, and its time counts from when it was sent.
const GRAIN: Duration = Duration::from_millis(2);

/// Hands out the times at which requests are due.
#[derive(Debug)]
pub(crate) struct Pace {
    begin: Instant,
    interval: Duration,
    next: AtomicU64,
    /// Nothing is due from here on.
    end: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(begin: Instant, rate: u32) -> Self {
        Self {
            begin,
            interval: Duration::from_secs(1) / rate.max(1),
            next: AtomicU64::new(0),
            end: Mutex::new(None),
        }
    }

    pub(crate) fn begin(&self) -> Instant {
        self.begin
    }

    /// Ends it: what is due by `end` is still handed out.
    pub(crate) fn end_at(&self, end: Instant) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    /// Whether it has ended at `moment`.
    pub(crate) fn is_over(&self, moment: Instant) -> bool {
        let end = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.is_some_and(|end| moment >= end)
    }

    /// Waits until the next request is due; answers from when its time counts, or `None` at the end.
    pub(crate) async fn next(&self) -> Option<Instant> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let due = self.begin
            + Duration::from_nanos(saturating_nanos(self.interval).saturating_mul(index));
        tokio::time::sleep_until(due).await;
        if self.is_over(due) {
            return None;
        }
        let now = Instant::now();
        Some(if now.duration_since(due) < GRAIN {
            now
        } else {
            due
        })
    }
}

fn saturating_nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_are_due_at_a_fixed_rate_even_after_a_stall() {
        let begin = Instant::now();
        let pace = Pace::new(begin, 100);
        let at = |moment: Instant| moment.duration_since(begin).as_millis();
        assert_eq!(at(pace.next().await.unwrap()), 0);
        assert_eq!(at(pace.next().await.unwrap()), 10);
        // The server stalls: what was due meanwhile counts from when it was due.
        tokio::time::advance(Duration::from_millis(95)).await;
        assert_eq!(at(pace.next().await.unwrap()), 20);
        assert_eq!(at(pace.next().await.unwrap()), 30);
        pace.end_at(begin + Duration::from_millis(50));
        assert_eq!(at(pace.next().await.unwrap()), 40);
        assert_eq!(pace.next().await, None);
    }
}
