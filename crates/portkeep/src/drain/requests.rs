//! Counts requests without making processors wait for each other.
//!
//! A counter that every request changes is a cache line that moves between processors all the time. So each thread counts
//! for itself, and a reader adds up.

use std::array;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More threads than this share slots. A power of two.
const SLOTS: usize = 16;

thread_local! {
    static SLOT: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % SLOTS
    };
}

/// All requests of a server.
#[derive(Debug)]
pub(crate) struct Requests {
    slots: [Slot; SLOTS],
}

/// Counts of one thread. Processors fetch cache lines of 64 bytes, some of them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot {
    began: AtomicU64,
    /// Ended requests that began here, wherever they ended.
    ended: AtomicU64,
}

/// A begun request, which has to [end](Requests::end).
#[derive(Debug)]
#[must_use]
pub(crate) struct Began {
    slot: usize,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            slots: array::from_fn(|_| Slot::default()),
        }
    }

    #[inline]
    pub(crate) fn begin(&self) -> Began {
        // A thread that ends has no slot any more.
        let slot = SLOT.try_with(|slot| *slot).unwrap_or(0);
        self.slots[slot].began.fetch_add(1, Ordering::SeqCst);
        Began { slot }
    }

    #[allow(clippy::needless_pass_by_value, reason = "it cannot end twice")]
    #[inline]
    pub(crate) fn end(&self, began: Began) {
        self.slots[began.slot].ended.fetch_add(1, Ordering::SeqCst);
    }

    /// Requests since the start.
    pub(crate) fn began(&self) -> u64 {
        self.sum(|slot| &slot.began)
    }

    /// Ended requests since the start; never too many.
    pub(crate) fn ended(&self) -> u64 {
        self.sum(|slot| &slot.ended)
    }

    /// Open requests; never too few.
    pub(crate) fn open(&self) -> u64 {
        // First: a request that begins and ends meanwhile counts as open.
        let ended = self.ended();
        self.began() - ended
    }

    fn sum(&self, of: fn(&Slot) -> &AtomicU64) -> u64 {
        let counts = self.slots.iter().map(of);
        counts.map(|count| count.load(Ordering::SeqCst)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn they_begin_and_end_in_any_thread() {
        let requests = Requests::new();
        // More threads than slots.
        let open: Vec<_> = thread::scope(|scope| {
            let began = [(); 2 * SLOTS].map(|()| scope.spawn(|| requests.begin()));
            began.map(|thread| thread.join().unwrap()).into()
        });
        assert_eq!((requests.open(), requests.began()), (32, 32));
        open.into_iter().for_each(|began| requests.end(began));
        assert_eq!((requests.open(), requests.began()), (0, 32));
        assert_eq!(requests.ended(), 32);
    }
}
