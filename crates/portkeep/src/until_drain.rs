//! Streams that end when the server does.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::shutdown::stream_ends;

/// Ends `stream` when this process begins to shut down, or is taken out by `portkeep drain`: for server-sent events and other answers
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
/// a short `retry:` at the start: also a stream that begins while the server drains gives its first
/// item, if that is there at once. To say goodbye at the end, or for a token of your own, wait for
/// [`ShutdownToken::started`](crate::ShutdownToken::started) instead.
pub fn until_drain<S: Stream>(stream: S) -> UntilDrain<S> {
    UntilDrain {
        stream,
        end: Some(Box::pin(stream_ends())),
        begun: false,
    }
}

pin_project! {
    /// The stream that [`until_drain`] returns.
    #[must_use = "streams do nothing unless polled"]
    pub struct UntilDrain<S> {
        #[pin]
        stream: S,
        begun: bool,
        // None once it has come.
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
        let begun = std::mem::replace(this.begun, true);
        if end.as_mut().poll(cx).is_pending() {
            return this.stream.poll_next(cx);
        }
        *this.end = None;
        if !begun && let Poll::Ready(first) = this.stream.poll_next(cx) {
            return Poll::Ready(first);
        }
        Poll::Ready(None)
    }
}

impl<S> std::fmt::Debug for UntilDrain<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UntilDrain").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use crate::ShutdownToken;

    use super::*;

    /// A stream of numbers, with a token that no other test uses.
    fn numbers(token: &ShutdownToken) -> UntilDrain<impl Stream<Item = u32> + Unpin> {
        UntilDrain {
            stream: stream::iter(0..),
            begun: false,
            end: Some(Box::pin(token.started())),
        }
    }

    #[tokio::test]
    async fn it_ends_in_the_middle() {
        let token = ShutdownToken::new();
        let mut stream = numbers(&token);
        assert_eq!(stream.next().await, Some(0));
        token.start();
        assert_eq!(stream.next().await, None);
        assert_eq!(stream.next().await, None);
    }

    #[tokio::test]
    async fn one_that_begins_too_late_gives_its_first_item() {
        let token = ShutdownToken::new();
        token.start();
        assert_eq!(numbers(&token).collect::<Vec<_>>().await, [0]);
        let never = UntilDrain {
            stream: stream::pending::<u32>(),
            begun: false,
            end: Some(Box::pin(token.started())),
        };
        assert!(never.collect::<Vec<_>>().await.is_empty());
    }
}
