//! Signals that end `portkeep dev`.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

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

    /// Waits for the next of them.
    pub(crate) async fn stop(&mut self) {
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
