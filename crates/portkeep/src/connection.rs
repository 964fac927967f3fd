//! One accepted connection, from its first byte to its end.

mod answering;
mod farewell;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod io;
mod patience;
mod probe;
#[cfg(feature = "http2")]
mod protocol;

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::drain::{Shared, Task};
use crate::listen::Stream;

use io::Io;

/// How long a client may take for its first byte, and from the first to the last byte of a
/// request's head. The time between two requests has no limit.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves one connection in a task of its own. It counts from this call on, not from the first
/// time the task runs: else a drain that begins in between would not wait for it.
pub(crate) fn spawn<A: App>(stream: Stream, app: A, shared: &Arc<Shared>) {
    let task = Task::new(shared);
    let io = Io::new(stream, shared);
    tokio::spawn(async move {
        serve(io, app).await;
        drop(task);
    });
}

#[cfg(feature = "http2")]
async fn serve<A: App>(mut io: Io, app: A) {
    match protocol::detect(&mut io).await {
        Some(protocol::Protocol::Http1) => http1::serve(io, app).await,
        Some(protocol::Protocol::Http2) => http2::serve(io, app).await,
        None => {}
    }
}

#[cfg(not(feature = "http2"))]
async fn serve<A: App>(io: Io, app: A) {
    http1::serve(io, app).await;
}
