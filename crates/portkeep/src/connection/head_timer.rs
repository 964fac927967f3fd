//! hyper's timer for reading a request's head.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use super::probe::Probe;

/// It measures nothing: the sweeper notices a head that takes too long, so that a request costs neither a timer nor a look
/// at the clock.
#[derive(Debug)]
pub(super) struct HeadTimer {
    probe: Arc<Probe>,
    /// The time that hyper sees.
    always: Instant,
}

impl HeadTimer {
    pub(super) fn new(probe: Arc<Probe>) -> Self {
        Self {
            probe,
            always: Instant::now(),
        }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.probe.begin_to_wait();
        Box::pin(HeadSleep)
    }

    fn sleep_until(&self, _deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(Duration::ZERO)
    }

    fn now(&self) -> Instant {
        self.always
    }
}

/// It never ends. As it has no content, boxing it allocates nothing.
#[derive(Debug)]
struct HeadSleep;

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
