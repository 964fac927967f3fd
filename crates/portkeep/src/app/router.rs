//! axum's router, which most apps are.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::routing::future::RouteFuture;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ErasedBody;
use super::erased::{Answered, Erase};
use super::watched::watched;
use crate::BoxError;

/// A router whose handlers were made into routes once, as `axum::serve` does. Otherwise each request would do that again.
pub(super) struct Routes(Router);

impl Routes {
    pub(super) fn of(router: Router) -> Self {
        Self(router.with_state(()))
    }
}

impl Erase for Routes {
    fn answer(&self, request: Request<Incoming>) -> Answered {
        // It is always ready.
        let mut router = self.0.clone();
        let future = match request.body().is_end_stream() {
            // Most requests have no body: nothing is wrapped, moved or allocated for them.
            true => router.call(request),
            false => router.call(watched(request)),
        };
        Box::pin(Answer { future })
    }

    fn clone_boxed(&self) -> Box<dyn Erase> {
        Box::new(Self(self.0.clone()))
    }
}

pin_project! {
    /// An async block would have room for the future twice, and move it from one to the other.
    struct Answer {
        #[pin]
        future: RouteFuture<Infallible>,
    }
}

impl Future for Answer {
    type Output = Result<Response<ErasedBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.project().future.poll(cx);
        polled.map(|Ok(response)| Ok(response.map(ErasedBody::Axum)))
    }
}
