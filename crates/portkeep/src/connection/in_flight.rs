//! A request that is not answered to its end.

use std::sync::Arc;

use super::probe::Probe;
use crate::drain::Began;

/// Goes where the answer goes: into its body. One value for all that counts requests, because every
/// one more would cost every request its share.
pub(super) struct InFlight {
    probe: Arc<Probe>,
    /// None once it is a tunnel.
    began: Option<Began>,
    handler_runs: bool,
}

impl InFlight {
    #[inline]
    pub(super) fn new(probe: &Arc<Probe>, with_body: bool) -> Self {
        probe.began(with_body);
        Self {
            probe: Arc::clone(probe),
            began: Some(probe.shared.requests.begin()),
            handler_runs: true,
        }
    }

    #[inline]
    pub(super) fn probe(&self) -> &Arc<Probe> {
        &self.probe
    }

    /// The app has answered; what it sends may take longer.
    #[inline]
    pub(super) fn handler_ended(&mut self) {
        if std::mem::take(&mut self.handler_runs) {
            self.probe.handler_ended();
        }
    }

    /// It stays open as long as its connection.
    pub(super) fn become_tunnel(mut self) {
        if let Some(began) = self.began.take() {
            self.probe.keep_open(began);
        }
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        self.handler_ended();
        if let Some(began) = self.began.take() {
            self.probe.shared.requests.end(began);
        }
    }
}
