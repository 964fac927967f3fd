//! Guards that count live connections and tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Shared;
use crate::limits::{Key, Watched};

/// An open socket. It lives in the I/O object and so goes where the socket goes, also into an upgraded connection, which
/// hyper hands to the app and none of our tasks drives.
#[derive(Debug)]
pub(crate) struct Live {
    shared: Arc<Shared>,
    /// Its key in the register.
    key: Key,
}

/// A running connection task.
#[derive(Debug)]
pub(crate) struct Task(Arc<Shared>);

impl Live {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let key = Key(shared.arrived.fetch_add(1, Ordering::SeqCst));
        if shared.live.fetch_add(1, Ordering::SeqCst) == 0 {
            shared.filled.notify_one();
        }
        Self {
            shared: Arc::clone(shared),
            key,
        }
    }

    /// Adds it to the register. It had been in its state for `before`.
    pub(crate) fn watch(&self, watched: Arc<dyn Watched>, before: Duration) {
        let register = &self.shared.register;
        register.enter(self.key, watched, before, |facts, waited, age| {
            self.shared.decide(facts, waited, age)
        });
    }

    /// How long it has been in its state.
    pub(crate) fn waited(&self) -> Duration {
        self.shared.register.waited(self.key)
    }
}

impl Task {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.tasks.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.register.leave(self.key);
        if one_less(&self.shared.live, &self.shared) == self.shared.most {
            self.shared.freed.notify_waiters();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        one_less(&self.0.tasks, &self.0);
    }
}

/// Subtracts one. Returns how many are left.
fn one_less(counter: &AtomicUsize, shared: &Shared) -> usize {
    let left = counter.fetch_sub(1, Ordering::SeqCst) - 1;
    if left == 0 {
        // There is one waiter at most. `notify_one` keeps the news for a later one.
        shared.emptied.notify_one();
    }
    left
}
