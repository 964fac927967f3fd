//! Cancellation of a start that is no longer wanted.

use tokio::sync::watch;

/// Its owner passes it with a request, and can end the start of the new generation before that is READY, because something
/// better exists. The current generation serves on, and the release is not blamed.
#[derive(Debug, Clone, Default)]
pub struct Cancel(watch::Sender<bool>);

impl Cancel {
    /// Cancels, now or as soon as something is started.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is cancelled.
    pub async fn asked(&self) {
        // The sender is this value, and not closed.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}
