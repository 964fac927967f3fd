//! Any app as one concrete type.
//!
//! Everything between a socket and the app is compiled for this type, in this crate. Were it generic, each
//! user's crate would compile hyper's connections, the drain and the moving of connections anew at every
//! build. The price is two allocations a request: one for the app's future, one for the body of its answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::App;
use crate::BoxError;
use crate::task::Boxed;

/// An [`App`] of any type.
pub(crate) struct ErasedApp(Box<dyn Erase>);

/// What comes of a request.
pub(crate) type Answered = Boxed<Result<Response<ErasedBody>, BoxError>>;

/// The body of an answer, of any type.
pub(crate) struct ErasedBody(Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>);

trait Erase: Send {
    fn answer(&self, request: Request<Incoming>) -> Answered;
    fn clone_boxed(&self) -> Box<dyn Erase>;
}

impl<A: App> Erase for A {
    fn answer(&self, request: Request<Incoming>) -> Answered {
        let mut app = self.clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| app.poll_ready(cx))
                .await
                .map_err(Into::into)?;
            let called = app.call(request);
            // Whatever it holds is held no longer than the app's own future holds it.
            drop(app);
            let response = called.await.map_err(Into::into)?;
            Ok(response.map(ErasedBody::new))
        })
    }

    fn clone_boxed(&self) -> Box<dyn Erase> {
        Box::new(self.clone())
    }
}

impl ErasedApp {
    pub(crate) fn new<A: App>(app: A) -> Self {
        Self(Box::new(app))
    }

    /// Waits until the app has room for the request, and gives it to the app.
    pub(crate) fn answer(&self, request: Request<Incoming>) -> Answered {
        self.0.answer(request)
    }
}

impl Clone for ErasedApp {
    fn clone(&self) -> Self {
        Self(self.0.clone_boxed())
    }
}

impl ErasedBody {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        Self(Box::pin(InBytes { body }))
    }
}

impl Body for ErasedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

pin_project! {
    /// A body whose data is `Bytes`: as it is if the app's is, else copied.
    struct InBytes<B> {
        #[pin]
        body: B,
    }
}

impl<B: Body<Error: Into<BoxError>>> Body for InBytes<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.project().body.poll_frame(cx));
        let in_bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
        Poll::Ready(frame.map(|frame| Ok(frame.map_err(Into::into)?.map_data(in_bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

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
        let mut body = ErasedBody::new(axum::body::Body::from(content.clone()));
        let data = next(&mut body).await.unwrap().into_data().unwrap();
        assert_eq!(data.as_ptr(), content.as_ptr());
    }
}
