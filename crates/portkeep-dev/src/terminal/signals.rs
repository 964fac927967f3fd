//! Signals that end `portkeep dev`.

use std::future::Future;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Something was dropped because a signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// SIGINT, SIGTERM and SIGHUP, each of which means "stop cleanly".
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// Other causes to stop.
    more: (mpsc::UnboundedSender<()>, mpsc::UnboundedReceiver<()>),
    /// How many of them came.
    heard: usize,
}

impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            more: mpsc::unbounded_channel(),
            heard: 0,
        })
    }

    /// Sender for other causes to stop.
    pub(crate) fn more(&mut self) -> mpsc::UnboundedSender<()> {
        self.more.0.clone()
    }

    /// Waits for `what`, unless one of them comes or has come: then `what` is dropped where it waits. Everything that may take
    /// longer than a moment runs in this, so that nothing holds up the end.
    pub(crate) async fn unless_stopped<T>(
        &mut self,
        what: impl Future<Output = T>,
    ) -> Result<T, Stopped> {
        if self.has_stopped() {
            return Err(Stopped);
        }
        tokio::select! {
            biased;
            () = self.stop() => Err(Stopped),
            done = what => Ok(done),
        }
    }

    /// Waits for the next of them.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            Some(()) = self.more.1.recv() => {}
        }
        self.heard += 1;
    }

    /// Waits until one comes that is not the first: whoever sends it does not want to wait for what drains.
    pub(crate) async fn stop_at_once(&mut self) {
        while {
            self.stop().await;
            self.heard == 1
        } {}
    }

    /// Whether one came, whoever waited for it.
    pub(crate) fn has_stopped(&self) -> bool {
        self.heard > 0
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn what_runs_is_dropped_when_one_comes_and_nothing_is_begun_after_it() {
        let mut signals = Signals::listen().unwrap();
        assert_eq!(signals.unless_stopped(ready(7)).await, Ok(7));
        assert!(!signals.has_stopped());
        signals.more().send(()).unwrap();
        let stopped: Result<(), _> = signals.unless_stopped(pending()).await;
        assert_eq!(stopped, Err(Stopped));
        assert!(signals.has_stopped());
        assert_eq!(signals.unless_stopped(ready(7)).await, Err(Stopped));
    }

    #[tokio::test]
    async fn one_that_comes_before_what_is_done_counts() {
        let mut signals = Signals::listen().unwrap();
        signals.more().send(()).unwrap();
        assert_eq!(signals.unless_stopped(ready(7)).await, Err(Stopped));
    }
}
