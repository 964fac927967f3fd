//! Tasks of one type.
//!
//! For each type of future that is spawned, tokio compiles a task once more for each of its runtimes, and every app links
//! them at each build. So all futures are boxed.

use std::pin::Pin;

use tokio::task::JoinHandle;

pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// As `tokio::spawn`.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(boxed(future))
}

pub(crate) fn boxed<T>(future: impl Future<Output = T> + Send + 'static) -> Boxed<T> {
    Box::pin(future)
}
