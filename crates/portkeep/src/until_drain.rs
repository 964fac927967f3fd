//! Streams that end when the server does.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::ShutdownToken;

/// Ends `stream` when this process begins to shut down: for server-sent events and other answers
/// that have no end by themselves. A drain waits for those, until its deadline cuts them.
///
/// ```
/// use std::convert::Infallible;
///
/// use axum::body::Body;
///
/// # fn ticks() -> impl futures_util::Stream<Item = Result<&'static str, Infallible>> + Send + 'static {
/// #     futures_util::stream::empty()
/// # }
/// async fn clock() -> Body {
///     Body::from_stream(portkeep::until_drain(ticks()))
/// }
/// ```
///
/// The answer ends in good order, and an `EventSource` reconnects, to the next generation. Send it
/// a short `retry:` at the start. To say goodbye at the end, or for a token of your own, wait for
/// [`ShutdownToken::started`] instead.
pub fn until_drain<S: Stream>(stream: S) -> UntilDrain<S> {
    UntilDrain {
        stream,
        end: Some(Box::pin(ShutdownToken::process().started())),
    }
}

pin_project! {
    /// What [`until_drain`] makes of a stream.
    #[must_use = "streams do nothing unless polled"]
    pub struct UntilDrain<S> {
        #[pin]
        stream: S,
        // Nothing once it has come.
        end: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    }
}

impl<S: Stream> Stream for UntilDrain<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let Some(end) = this.end else {
            return Poll::Ready(None);
        };
        if end.as_mut().poll(cx).is_ready() {
            *this.end = None;
            return Poll::Ready(None);
        }
        this.stream.poll_next(cx)
    }
}

impl<S> std::fmt::Debug for UntilDrain<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UntilDrain").finish_non_exhaustive()
    }
}
