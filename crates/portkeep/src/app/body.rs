//! Body of any answer, as one concrete type.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::BoxError;

/// The body of an answer, of any type.
pub(crate) enum ErasedBody {
    /// The usual body is boxed already: another box would be one more allocation for each request.
    #[cfg(feature = "axum")]
    Axum(axum::body::Body),
    Other(Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>),
}

impl ErasedBody {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        #[cfg(feature = "axum")]
        let body = match super::downcast::downcast(body) {
            Ok(body) => return Self::Axum(body),
            Err(body) => body,
        };
        Self::Other(Box::pin(BytesBody { body }))
    }
}

impl Body for ErasedBody {
    type Data = Bytes;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            #[cfg(feature = "axum")]
            Self::Axum(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Self::Other(body) => body.as_mut().poll_frame(cx),
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match self {
            #[cfg(feature = "axum")]
            Self::Axum(body) => body.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match self {
            #[cfg(feature = "axum")]
            Self::Axum(body) => body.size_hint(),
            Self::Other(body) => body.size_hint(),
        }
    }
}

pin_project! {
    /// A body whose data is `Bytes`: unchanged if the app's is, otherwise copied.
    struct BytesBody<B> {
        #[pin]
        body: B,
    }
}

impl<B: Body<Error: Into<BoxError>>> Body for BytesBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.project().body.poll_frame(cx));
        let in_bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
        Poll::Ready(frame.map(|frame| Ok(frame.map_err(Into::into)?.map_data(in_bytes))))
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use http::{HeaderMap, HeaderValue};

    use super::*;

    /// A body of these frames, whose data is no `Bytes`.
    struct Frames(VecDeque<Frame<&'static [u8]>>);

    impl Body for Frames {
        type Data = &'static [u8];
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<&'static [u8]>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(7)
        }
    }

    async fn next(body: &mut ErasedBody) -> Option<Frame<Bytes>> {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        frame.map(Result::unwrap)
    }

    #[tokio::test]
    async fn a_body_stays_what_it_is() {
        let trailers = HeaderMap::from_iter([(
            http::header::ETAG,
            HeaderValue::from_static("the last of it"),
        )]);
        let frames = [
            Frame::data(&b"content"[..]),
            Frame::trailers(trailers.clone()),
        ];
        let mut body = ErasedBody::new(Frames(frames.into()));
        assert_eq!(body.size_hint().exact(), Some(7));
        assert!(!body.is_end_stream());
        let data = next(&mut body).await.unwrap().into_data().unwrap();
        assert_eq!(data, "content");
        let last = next(&mut body).await.unwrap().into_trailers().unwrap();
        assert_eq!(last, trailers);
        assert!(body.is_end_stream());
        assert!(next(&mut body).await.is_none());
    }

    #[tokio::test]
    async fn bytes_are_not_copied() {
        let content = Bytes::from_static(b"content");
        let any = http_body_util::Full::new(content.clone());
        let of_axum = axum::body::Body::from(content.clone());
        for mut body in [ErasedBody::new(any), ErasedBody::new(of_axum)] {
            let data = next(&mut body).await.unwrap().into_data().unwrap();
            assert_eq!(data.as_ptr(), content.as_ptr());
        }
    }

    /// A box of its own would be one more allocation for each answer.
    #[cfg(feature = "axum")]
    #[test]
    fn the_body_of_axum_is_taken_as_it_is() {
        let body = ErasedBody::new(axum::body::Body::from("content"));
        assert!(matches!(body, ErasedBody::Axum(_)));
    }
}
