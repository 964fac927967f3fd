//! Whether the operator has taken the app out. Unlike in a drain, the server goes on, and only its connections end.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ending;
use crate::limits::Limits;

/// Since when connections end.
#[derive(Debug, Default)]
pub(crate) struct TakenOut {
    since: Mutex<Option<Instant>>,
    /// The same, for each answer.
    is: AtomicBool,
}

impl TakenOut {
    /// Connections have been ending for this long, or do not end.
    pub(crate) fn set(&self, ending: Option<Duration>) {
        if ending.is_some() == self.is_ending() {
            return;
        }
        let since = ending.map(|time| {
            let now = Instant::now();
            now.checked_sub(time).unwrap_or(now)
        });
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
        self.is.store(ending.is_some(), Relaxed);
        ending::tell(ending.is_some());
    }

    #[inline]
    pub(crate) fn is_ending(&self) -> bool {
        self.is.load(Relaxed)
    }

    /// How long a connection of this age has been due to end.
    pub(super) fn ending(&self, limits: &Limits, age: Duration) -> Option<Duration> {
        let too_old = limits.too_old(age);
        if !self.is_ending() {
            return too_old;
        }
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        too_old.max(since.map(|since| since.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[tokio::test(start_paused = true)]
    async fn it_is_taken_out_and_put_back() {
        let taken_out = TakenOut::default();
        let limits = Limits::new().age(S(100));
        let ending = |age| taken_out.ending(&limits, S(age));
        assert_eq!((ending(99), ending(130)), (None, Some(S(30))));
        taken_out.set(Some(S(0)));
        tokio::time::advance(S(7)).await;
        assert_eq!((ending(1), ending(130)), (Some(S(7)), Some(S(30))));
        // Told again: the beginning stays.
        taken_out.set(Some(S(0)));
        assert_eq!(ending(1), Some(S(7)));
        taken_out.set(None);
        assert_eq!(ending(1), None);
    }
}
