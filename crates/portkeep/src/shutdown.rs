//! Tells handlers that the process is about to end.

use std::sync::{Arc, LazyLock};

use tokio::sync::watch;

use crate::ending;
use crate::signals::Signals;

static PROCESS: LazyLock<ShutdownToken> = LazyLock::new(ShutdownToken::new);

/// Says that a server is draining, and can ask it to.
///
/// All clones are one token. There is one for the process, which [`serve`](crate::serve) and
/// [`shutdown`] use; [`Server::shutdown_on`](crate::Server::shutdown_on) gives a server its own.
#[derive(Debug, Clone)]
pub struct ShutdownToken(Arc<watch::Sender<bool>>);

impl ShutdownToken {
    /// A token of its own, independent of the process-wide one.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// The token of the process.
    #[must_use]
    pub fn process() -> Self {
        PROCESS.clone()
    }

    /// Begins the shutdown: servers with this token drain, and [`ShutdownToken::started`]
    /// resolves. There is no way back.
    pub fn start(&self) {
        self.0.send_replace(true);
    }

    /// Whether the shutdown has begun.
    #[must_use]
    pub fn is_started(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when the shutdown begins, at once if it has. Dropping the future is fine.
    pub fn started(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        let mut receiver = self.0.subscribe();
        // Kept by the future, otherwise the wait would end when the last clone is dropped.
        let keep = self.clone();
        async move {
            let _ = receiver.wait_for(|started| *started).await;
            drop(keep);
        }
    }
}

impl Default for ShutdownToken {
    fn default() -> Self {
        Self::new()
    }
}

/// Resolves when endless answers have to end: this process begins to shut down, or `portkeep drain` takes it out.
/// [`until_drain`](crate::until_drain) and [`close_at_drain`](crate::close_at_drain) wait for this. It is for handlers that
/// do something else then, such as to [hand over](crate::hand_over) a WebSocket.
///
/// Unlike [`shutdown`], it relies on [`serve`](crate::serve), which watches the signals.
pub fn stream_ends() -> impl Future<Output = ()> + Send + Sync + use<> {
    let shutdown = ShutdownToken::process().started();
    let taken_out = ending::begins();
    async {
        tokio::select! {
            () = shutdown => {}
            () = taken_out => {}
        }
    }
}

/// Resolves when this process begins to shut down: on SIGTERM, on SIGINT, or when somebody calls
/// [`ShutdownToken::start`] on the process-wide token.
///
/// Handlers with an endless answer use it to end the answer: a drain waits for them, until its deadline cuts them.
///
/// ```no_run
/// # use tokio::sync::mpsc::{Receiver, Sender};
/// # async fn example(mut events: Receiver<String>, client: Sender<String>) {
/// let mut shutdown = std::pin::pin!(portkeep::shutdown());
/// loop {
///     tokio::select! {
///         // The stream ends; an EventSource reconnects, to the next generation.
///         () = &mut shutdown => break,
///         Some(event) = events.recv() => client.send(event).await.unwrap(),
///         else => break,
///     }
/// }
/// # }
/// ```
///
/// It also works without [`serve`](crate::serve), as the shutdown signal of another server. It
/// has to be awaited inside a tokio runtime with I/O enabled.
pub fn shutdown() -> impl Future<Output = ()> + Send + Sync + 'static {
    let token = ShutdownToken::process();
    async move {
        // If a server of this library runs, its own watch has begun already or will start the token; a second watch sees
        // the same signals and does no harm.
        match Signals::watch() {
            Ok(mut signals) => {
                tokio::select! {
                    () = token.started() => {}
                    _ = signals.next() => token.start(),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM and SIGINT cannot be watched");
                token.started().await;
            }
        }
    }
}
