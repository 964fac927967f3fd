//! Closes WebSockets in good order when the server drains.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use crate::shutdown::stream_ends;

/// How long the other side may take for its own close frame.
const GOODBYE: Duration = Duration::from_secs(2);

/// Sends `close` over `socket` when this process begins to shut down or is taken out by `portkeep drain`, and ends when the other side has
/// answered it (2 s at most): for WebSockets, which a drain waits for until its deadline cuts them.
///
/// `socket` is what the WebSocket library has for it, if that is a stream and a sink of messages, as
/// in axum and tokio-tungstenite. `close` should be a close frame with code 1012, "service restart":
/// clients that see it connect again, to the next generation.
///
/// ```
/// use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code::RESTART};
/// use futures_util::{SinkExt, StreamExt};
///
/// async fn echo(socket: WebSocket) {
///     let frame = CloseFrame { code: RESTART, reason: "restart".into() };
///     let mut socket = portkeep::close_at_drain(socket, Message::Close(Some(frame)));
///     while let Some(Ok(message)) = socket.next().await {
///         if let Message::Text(_) = message {
///             let _ = socket.send(message).await;
///         }
///     }
/// }
/// ```
///
/// The shutdown is noticed while the handler waits for the next message; one that only sends has to
/// wait for [`shutdown`](fn@crate::shutdown) itself. What is sent after the close frame is thrown away.
pub fn close_at_drain<S: Stream + Sink<M>, M>(socket: S, close: M) -> CloseAtDrain<S, M> {
    CloseAtDrain {
        socket,
        closing: Closing::NotYet {
            begins: Box::pin(stream_ends()),
            close: Some(close),
        },
    }
}

pin_project! {
    /// The WebSocket that [`close_at_drain`] returns.
    #[must_use = "it does nothing unless polled"]
    pub struct CloseAtDrain<S, M> {
        #[pin]
        socket: S,
        closing: Closing<M>,
    }
}

enum Closing<M> {
    NotYet {
        begins: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
        close: Option<M>,
    },
    /// The close frame is sent, or on its way if it is here.
    Begun {
        close: Option<M>,
        flushed: bool,
        deadline: Pin<Box<Sleep>>,
    },
    Over,
}

impl<S: Stream + Sink<M>, M> Stream for CloseAtDrain<S, M> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        if let Closing::NotYet { begins, close } = this.closing
            && begins.as_mut().poll(cx).is_ready()
        {
            *this.closing = Closing::Begun {
                close: close.take(),
                flushed: false,
                deadline: Box::pin(sleep(GOODBYE)),
            };
        }
        if let Closing::Begun {
            close,
            flushed,
            deadline,
        } = this.closing
        {
            let late = deadline.as_mut().poll(cx).is_ready();
            // A frame that cannot be sent yet does not stop reading.
            if late || !*flushed && say(this.socket.as_mut(), close, flushed, cx).is_err() {
                *this.closing = Closing::Over;
            }
        }
        if matches!(this.closing, Closing::Over) {
            return Poll::Ready(None);
        }
        let polled = this.socket.poll_next(cx);
        if let Poll::Ready(None) = polled {
            *this.closing = Closing::Over;
        }
        polled
    }
}

/// Continues sending the close frame, as far as there is room.
fn say<S: Sink<M>, M>(
    mut socket: Pin<&mut S>,
    close: &mut Option<M>,
    flushed: &mut bool,
    cx: &mut Context<'_>,
) -> Result<(), S::Error> {
    if close.is_some() {
        if socket.as_mut().poll_ready(cx)?.is_pending() {
            return Ok(());
        }
        if let Some(close) = close.take() {
            socket.as_mut().start_send(close)?;
        }
    }
    *flushed = socket.poll_flush(cx)?.is_ready();
    Ok(())
}

impl<S: Sink<M>, M> Sink<M> for CloseAtDrain<S, M> {
    type Error = S::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let this = self.project();
        match this.closing {
            Closing::NotYet { .. } => this.socket.poll_ready(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), S::Error> {
        let this = self.project();
        match this.closing {
            Closing::NotYet { .. } => this.socket.start_send(message),
            _ => Ok(()),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let this = self.project();
        match this.closing {
            Closing::NotYet { .. } => this.socket.poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.project().socket.poll_close(cx)
    }
}

impl<S, M> std::fmt::Debug for CloseAtDrain<S, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CloseAtDrain").finish_non_exhaustive()
    }
}
