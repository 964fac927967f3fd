//! Request in flight: not answered to its end.

use std::sync::Arc;

use super::probe::Probe;
use super::upload::Upload;
use crate::drain::Began;

/// Goes where the answer goes: into its body. One value for all that counts requests, because every
/// one more would cost every request its share.
pub(super) struct InFlight {
    probe: Arc<Probe>,
    /// None once it is a tunnel.
    began: Option<Began>,
    handler_runs: bool,
    /// If it has a body.
    upload: Option<Arc<Upload>>,
    http2: bool,
    /// Of HTTP/2: something of the answer is there for the client.
    given: bool,
}

impl InFlight {
    #[inline]
    pub(super) fn new(probe: &Arc<Probe>, upload: Option<Arc<Upload>>, http2: bool) -> Self {
        probe.began(upload.is_some());
        Self {
            probe: Arc::clone(probe),
            began: Some(probe.shared.requests.begin()),
            handler_runs: true,
            upload,
            http2,
            given: false,
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
            if let Some(upload) = self.upload.take() {
                upload.answered();
            }
        }
    }

    /// The connection asks for more of the answer: its client has taken what was there.
    #[inline]
    pub(super) fn asked(&mut self) {
        if self.given {
            self.given = false;
            self.probe.piece();
            self.probe.awaits_client(false);
        }
    }

    /// The connection has more of the answer, and does not ask before its client has taken it. HTTP/1 shows that at the
    /// socket.
    #[inline]
    pub(super) fn gives(&mut self) {
        if self.http2 && !self.given {
            self.given = true;
            self.probe.awaits_client(true);
        }
    }

    /// It stays open as long as its connection.
    pub(super) fn become_tunnel(mut self) {
        if let Some(began) = self.began.take() {
            self.probe.keep_open(began);
            // It does not count as over.
            self.http2 = false;
        }
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        self.handler_ended();
        if self.given {
            self.probe.awaits_client(false);
        }
        if self.http2 {
            self.probe.ended();
        }
        if let Some(began) = self.began.take() {
            self.probe.shared.requests.end(began);
        }
    }
}
