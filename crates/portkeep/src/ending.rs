//! Signal to the app's streams that connections end although the process goes on.

use std::sync::LazyLock;

use tokio::sync::watch;

static ENDING: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

/// Connections of this process end, or no longer do.
pub(crate) fn tell(ending: bool) {
    ENDING.send_replace(ending);
}

/// Resolves when connections begin to end; at once if they do. That may be over before it is noticed.
pub(crate) fn begins() -> impl Future<Output = ()> + Send + Sync + use<> {
    let mut ending = ENDING.subscribe();
    async move {
        // The sender is never dropped.
        let _ = ending.wait_for(|ending| *ending).await;
    }
}
