//! The body of an answer in development.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::channel::StreamedBody;
use super::inject::Injector;
use crate::BoxError;
use crate::app::ErasedBody;

pin_project! {
    /// The app's body, or one of ours.
    #[project = Projection]
    pub(crate) enum DevBody {
        /// Unchanged from the app.
        App { #[pin] body: ErasedBody },
        /// A page that gets the script.
        Page { #[pin] body: ErasedBody, injector: Injector, last: PageEnd },
        /// From `portkeep dev`.
        StreamedBody { pieces: StreamedBody },
        /// From the next generation.
        Forwarded { #[pin] body: Incoming },
        /// A whole text.
        Text { text: Bytes },
    }
}

/// Whether the page has ended.
pub(crate) enum PageEnd {
    /// It has not.
    Open,
    /// It has; trailers may follow.
    Trailers(Option<HeaderMap>),
}

impl DevBody {
    pub(super) fn page(body: ErasedBody, text: Bytes) -> Self {
        Self::Page {
            body,
            injector: Injector::new(text),
            last: PageEnd::Open,
        }
    }

    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::Text { text: text.into() }
    }
}

impl Body for DevBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        let own = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match self.project() {
            Projection::App { body } => body.poll_frame(cx),
            Projection::Page {
                mut body,
                injector,
                last,
            } => loop {
                if let PageEnd::Trailers(trailers) = last {
                    return Poll::Ready(trailers.take().map(|all| Ok(Frame::trailers(all))));
                }
                let trailers = match ready!(body.as_mut().poll_frame(cx)) {
                    Some(frame) => match frame?.into_data() {
                        Ok(data) => {
                            let piece = injector.push(&data);
                            if piece.is_empty() {
                                continue;
                            }
                            return own(piece);
                        }
                        Err(frame) => frame.into_trailers().ok(),
                    },
                    None => None,
                };
                *last = PageEnd::Trailers(trailers);
                let rest = injector.finish();
                if !rest.is_empty() {
                    return own(rest);
                }
            },
            Projection::StreamedBody { pieces } => match ready!(pieces.poll_piece(cx)) {
                Some(piece) => own(piece),
                None => Poll::Ready(None),
            },
            Projection::Forwarded { body } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Projection::Text { text } => match std::mem::take(text) {
                text if text.is_empty() => Poll::Ready(None),
                text => own(text),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::App { body } => body.is_end_stream(),
            Self::Forwarded { body } => body.is_end_stream(),
            Self::Text { text } => text.is_empty(),
            Self::Page { .. } | Self::StreamedBody { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::App { body } => body.size_hint(),
            Self::Forwarded { body } => body.size_hint(),
            Self::Text { text } => SizeHint::with_exact(text.len() as u64),
            Self::Page { .. } | Self::StreamedBody { .. } => SizeHint::default(),
        }
    }
}
