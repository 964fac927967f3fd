//! Body of a request, for the limits of its connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use super::probe::Probe;
use crate::app::BodyObserver;

const COMING: u8 = 0;
const AWAITED: u8 = 1;
/// There is an answer. The rest of the body is between the app and its client.
const ANSWERED: u8 = 2;

/// Shared by the body and by its request's record.
pub(super) struct Upload {
    probe: Arc<Probe>,
    state: AtomicU8,
}

impl Upload {
    pub(super) fn new(probe: &Arc<Probe>) -> Arc<Self> {
        Arc::new(Self {
            probe: Arc::clone(probe),
            state: AtomicU8::new(COMING),
        })
    }

    /// It is answered, or no answer is wanted any more.
    pub(super) fn answered(&self) {
        if self.state.swap(ANSWERED, SeqCst) == AWAITED {
            self.probe.awaits_body(false);
        }
    }

    fn change(&self, from: u8, to: u8) -> bool {
        let changed = self.state.compare_exchange(from, to, SeqCst, SeqCst);
        changed.is_ok()
    }
}

impl BodyObserver for Upload {
    fn waits(&self) {
        // Counted before it shows, so that an answer in between takes back the count.
        self.probe.awaits_body(true);
        if !self.change(COMING, AWAITED) {
            self.probe.awaits_body(false);
        }
    }

    fn goes_on(&self, came: bool) {
        if came {
            self.probe.piece();
        }
        if self.change(AWAITED, COMING) {
            self.probe.awaits_body(false);
        }
    }
}
