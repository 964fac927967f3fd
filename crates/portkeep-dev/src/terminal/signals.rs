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
}

impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            more: mpsc::unbounded_channel(),
        })
    }

    /// Sender for other causes to stop.
    pub(crate) fn more(&mut self) -> mpsc::UnboundedSender<()> {
        self.more.0.clone()
    }

    pub(crate) async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            Some(()) = self.more.1.recv() => {}
        }
    }
}
