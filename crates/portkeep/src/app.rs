//! Apps that can be served.

mod arriving;
mod body;
#[cfg(feature = "axum")]
mod downcast;
mod erased;
#[cfg(feature = "axum")]
mod router;
#[cfg(feature = "axum")]
mod watched;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower_service::Service;

use crate::BoxError;
pub(crate) use arriving::{Arriving, BodyObserver};
pub(crate) use body::ErasedBody;
pub(crate) use erased::{Answered, ErasedApp};

/// Anything that answers HTTP requests: an `axum::Router`, or any tower service from
/// `Request<Incoming>` to a response, such as `tower::service_fn`.
///
/// Implemented for all of them; there is nothing to implement by hand.
///
/// The library serves every app as one type of its own, so that it compiles the stack below the app once, and
/// not anew at each build of the app. That costs an allocation a request; for bodies other than axum's one
/// more, and a copy of the data, unless it is [`Bytes`](bytes::Bytes).
pub trait App:
    Service<
        Request<Incoming>,
        Response = Response<Self::ResponseBody>,
        Future: Send + 'static,
        Error: Into<BoxError>,
    > + Clone
    + Send
    + 'static
{
    /// The body of its answers.
    type ResponseBody: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> App for S
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type ResponseBody = B;
}
