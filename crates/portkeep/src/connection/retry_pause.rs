//! Decides when to try again to move a connection that could not be taken apart.
//!
//! A transport may have a part of a record, and nobody else knows or is woken when the rest comes. So it is asked again
//! after a pause, but not for longer than an idle connection lingers: otherwise a client could hold up the end of this
//! process with half a record.

use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::probe::Probe;

/// The first pause, and the longest.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Number of attempts.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    count: AtomicU32,
    first: OnceLock<Instant>,
}

impl Attempts {
    /// Adds an attempt. Returns whether there is to be another.
    pub(super) fn add(&self, now: Instant, patience: Duration) -> bool {
        self.count
            .store(self.count.load(Relaxed).saturating_add(1), Relaxed);
        let first = *self.first.get_or_init(|| now);
        now.saturating_duration_since(first) < patience
    }

    fn pause(&self) -> Option<Duration> {
        let count = self.count.load(Relaxed).checked_sub(1)?;
        let pause = PAUSE.saturating_mul(1 << count.min(16));
        Some(pause.min(LONGEST_PAUSE))
    }
}

/// The pause before the next attempt.
pub(super) struct RetryPause(Option<Pin<Box<Sleep>>>);

impl RetryPause {
    pub(super) fn new(probe: &Probe) -> Self {
        Self(probe.attempts.pause().map(|pause| Box::pin(sleep(pause))))
    }

    /// Ready for the next attempt.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(pause) => pause.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }

    #[cfg(feature = "http2")]
    pub(super) async fn now(mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pauses_grow_and_come_to_an_end() {
        let attempts = Attempts::default();
        assert_eq!(attempts.pause(), None, "at once");
        let (began, patience) = (Instant::now(), Duration::from_secs(5));
        for millis in [1, 2, 4, 8, 16, 32, 50, 50] {
            assert!(attempts.add(began + Duration::from_secs(4), patience));
            assert_eq!(attempts.pause(), Some(Duration::from_millis(millis)));
        }
        assert!(attempts.add(began + Duration::from_secs(8), patience));
        assert!(!attempts.add(began + Duration::from_secs(9), patience));
        for _ in 0..100 {
            attempts.add(began, patience);
        }
        assert_eq!(attempts.pause(), Some(LONGEST_PAUSE));
    }
}
