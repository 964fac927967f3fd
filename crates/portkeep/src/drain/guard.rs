//! Guards that count what is alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Shared;

/// An open socket. It lives inside the I/O object and so goes where the socket goes: into an
/// upgraded connection too, which hyper hands to the app and no task of ours drives.
#[derive(Debug)]
pub(crate) struct Live(Arc<Shared>);

/// A running connection task.
#[derive(Debug)]
pub(crate) struct Task(Arc<Shared>);

impl Live {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.arrived.fetch_add(1, Ordering::SeqCst);
        shared.live.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
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
        one_less(&self.0.live, &self.0);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        one_less(&self.0.tasks, &self.0);
    }
}

fn one_less(counter: &AtomicUsize, shared: &Shared) {
    if counter.fetch_sub(1, Ordering::SeqCst) == 1 {
        // There is one waiter at most. `notify_one` keeps the news for one that comes later.
        shared.emptied.notify_one();
    }
}
