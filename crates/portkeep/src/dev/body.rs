//! The body of an answer in development.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::channel::Pieces;
use super::inject::Injector;
use crate::BoxError;

pin_project! {
    /// The app's own, or ours.
    #[project = Projection]
    pub(crate) enum DevBody<B> {
        /// As the app made it.
        App { #[pin] body: B },
        /// A page that gets the script.
        Page { #[pin] body: B, injector: Injector, last: Last },
        /// From `portkeep dev`.
        Pieces { pieces: Pieces },
        /// From the next generation.
        Forwarded { #[pin] body: Incoming },
        /// Known as a whole.
        Text { text: Bytes },
    }
}

/// The end of a page.
pub(crate) enum Last {
    /// It is not over.
    Open,
    /// It is; these may follow.
    Trailers(Option<HeaderMap>),
}

impl<B> DevBody<B> {
    pub(super) fn page(body: B, text: Bytes) -> Self {
        Self::Page {
            body,
            injector: Injector::new(text),
            last: Last::Open,
        }
    }

    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::Text { text: text.into() }
    }
}

impl<B: Body> Body for DevBody<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Piece<B::Data>;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        let own = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(Piece::Own(bytes)))));
        match self.project() {
            Projection::App { body } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| Ok(frame.map_err(Into::into)?.map_data(Piece::App))))
            }
            Projection::Page {
                mut body,
                injector,
                last,
            } => loop {
                if let Last::Trailers(trailers) = last {
                    return Poll::Ready(trailers.take().map(|all| Ok(Frame::trailers(all))));
                }
                let trailers = match ready!(body.as_mut().poll_frame(cx)) {
                    Some(frame) => match frame.map_err(Into::into)?.into_data() {
                        Ok(mut data) => {
                            let piece = injector.push(&data.copy_to_bytes(data.remaining()));
                            if piece.is_empty() {
                                continue;
                            }
                            return own(piece);
                        }
                        Err(frame) => frame.into_trailers().ok(),
                    },
                    None => None,
                };
                *last = Last::Trailers(trailers);
                let rest = injector.finish();
                if !rest.is_empty() {
                    return own(rest);
                }
            },
            Projection::Pieces { pieces } => match ready!(pieces.poll_piece(cx)) {
                Some(piece) => own(piece),
                None => Poll::Ready(None),
            },
            Projection::Forwarded { body } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| Ok(frame?.map_data(Piece::Own))))
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
            Self::Page { .. } | Self::Pieces { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::App { body } => body.size_hint(),
            Self::Forwarded { body } => body.size_hint(),
            Self::Text { text } => SizeHint::with_exact(text.len() as u64),
            Self::Page { .. } | Self::Pieces { .. } => SizeHint::default(),
        }
    }
}

/// A piece of a body.
pub(crate) enum Piece<D> {
    App(D),
    Own(Bytes),
}

impl<D: Buf> Buf for Piece<D> {
    fn remaining(&self) -> usize {
        match self {
            Self::App(data) => data.remaining(),
            Self::Own(bytes) => bytes.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::App(data) => data.chunk(),
            Self::Own(bytes) => bytes.chunk(),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::App(data) => data.advance(count),
            Self::Own(bytes) => bytes.advance(count),
        }
    }
}
