//! How long an HTTP/1 connection that waits for a request may go on waiting.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::HEAD_TIMEOUT;
use super::probe::Probe;
use crate::drain::Phase;

/// What a connection waits for, if it has to come within some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// For the rest of a request's head, or for the first one.
    Head,
    /// For a last request, before an idle connection is closed.
    LastRequest,
}

/// One timer for both, made when it is first needed: most connections never do.
#[derive(Debug, Default)]
pub(super) struct Patience {
    current: Option<(Wait, u64)>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What `probe` waits for. Only right after the connection was polled and is pending.
fn awaited(probe: &Probe, phase: Phase) -> Option<Wait> {
    if !probe.is_waiting() {
        return None;
    }
    // The end of an answer may still be on its way out: that connection is not idle yet.
    let idle = probe.is_clean() && !probe.is_mid_head();
    if phase >= Phase::Draining && probe.shared.is_hurried() && idle {
        return Some(Wait::LastRequest);
    }
    if probe.is_mid_head() || !probe.was_used() {
        return Some(Wait::Head);
    }
    (phase >= Phase::Draining && idle).then_some(Wait::LastRequest)
}

impl Patience {
    /// Ready with what did not come in time, once for each wait.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, probe: &Probe, phase: Phase) -> Poll<Wait> {
        let Some(wait) = awaited(probe, phase) else {
            self.current = None;
            return Poll::Pending;
        };
        let current = (wait, probe.waits());
        if self.current != Some(current) {
            self.current = Some(current);
            self.set(match wait {
                Wait::Head => HEAD_TIMEOUT,
                Wait::LastRequest if probe.shared.is_hurried() => Duration::ZERO,
                Wait::LastRequest => probe.shared.linger,
            });
        }
        match self.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                self.timer = None;
                Poll::Ready(wait)
            }
            _ => Poll::Pending,
        }
    }

    fn set(&mut self, time: Duration) {
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(Instant::now() + time),
            None => self.timer = Some(Box::pin(sleep(time))),
        }
    }
}
