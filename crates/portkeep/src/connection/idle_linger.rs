//! Decides how long an idle HTTP/1 connection waits for a last request while the server drains.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::probe::Probe;
use crate::drain::Phase;

/// Makes its timer at the first use.
#[derive(Debug, Default)]
pub(super) struct IdleLinger {
    /// The wait that the timer belongs to.
    current: Option<u64>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// How long `probe` waits, if it does. Valid only right after the connection was polled and is pending.
fn awaited(probe: &Probe, phase: Phase) -> Option<Duration> {
    if phase < Phase::Draining {
        return None;
    }
    // The end of an answer may not be sent yet: that connection is not idle.
    let idle = probe.is_waiting() && probe.is_clean() && !probe.is_mid_head();
    if !idle {
        return None;
    }
    if probe.shared.is_hurried() {
        return Some(Duration::ZERO);
    }
    probe.was_used().then_some(probe.shared.linger)
}

impl IdleLinger {
    /// Ready if no request came in time, once for each wait.
    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, probe: &Probe, phase: Phase) -> Poll<()> {
        let Some(time) = awaited(probe, phase) else {
            self.current = None;
            return Poll::Pending;
        };
        let current = probe.waits();
        if self.current != Some(current) {
            self.current = Some(current);
            self.set(time);
        }
        match self.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                self.timer = None;
                Poll::Ready(())
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
