//! Cancellation of a start that nobody waits for any more.

use tokio::sync::watch;

/// Given with a request, and kept by who makes it: ends the start of the new generation before that is READY, because
/// something better is there. What serves serves on, and nothing bad is noted of the release.
#[derive(Debug, Clone, Default)]
pub struct Cancel(watch::Sender<bool>);

impl Cancel {
    /// Gives up, now or as soon as something is started.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked for.
    pub async fn asked(&self) {
        // The other side is ours, and not closed.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}
