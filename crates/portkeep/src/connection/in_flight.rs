//! Request in flight: not answered to its end.

use std::sync::Arc;

use super::probe::Probe;
use super::upload::Upload;
use crate::drain::Began;

/// Moves with the answer into its body. One value for all counters, because each further one would cost every request its
/// share.
pub(super) struct InFlight {
    probe: Arc<Probe>,
    /// None after it became a tunnel.
    began: Option<Began>,
    handler_runs: bool,
    /// HTTP/2: whether the handler has not run at all.
    #[cfg(feature = "http2")]
    is_new: bool,
    /// If it has a body.
    upload: Option<Arc<Upload>>,
    http2: bool,
    /// HTTP/2: whether a part of the answer waits for the client.
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
            #[cfg(feature = "http2")]
            is_new: http2,
            upload,
            http2,
            given: false,
        }
    }

    #[inline]
    pub(super) fn probe(&self) -> &Arc<Probe> {
        &self.probe
    }

    /// Runs the handler.
    #[inline]
    pub(super) fn run<T>(&mut self, handler: impl FnOnce() -> T) -> T {
        #[cfg(feature = "http2")]
        if std::mem::take(&mut self.is_new) {
            return self.probe.handlers.run(self.probe.requests(), handler);
        }
        handler()
    }

    /// The app has answered; sending may take longer.
    #[inline]
    pub(super) fn handler_ended(&mut self) {
        if std::mem::take(&mut self.handler_runs) {
            self.probe.handler_ended();
            if let Some(upload) = self.upload.take() {
                upload.answered();
            }
        }
    }

    /// The connection asks for more of the answer: its client has taken the last part.
    #[inline]
    pub(super) fn asked(&mut self) {
        if self.given {
            self.given = false;
            self.probe.piece();
            self.probe.awaits_client(false);
        }
    }

    /// The connection has a part of the answer, and asks for the next after its client has taken it. For HTTP/1, the socket
    /// shows that.
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
            // It does not count as ended.
            self.http2 = false;
        }
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        self.handler_ended();
        #[cfg(feature = "http2")]
        if self.is_new {
            self.probe.handlers.skip();
        }
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
