//! Any app, as one concrete type.
//!
//! Everything between a socket and the app is compiled for this type, in this crate. If it were generic, each user's crate
//! would compile hyper's connections, the drain and the moving of connections at every build. The price is one allocation
//! for each request, for the app's future.

use http::{Request, Response};
use hyper::body::Incoming;

use super::{App, ErasedBody};
use crate::BoxError;
use crate::task::Boxed;

/// An [`App`] of any type.
pub(crate) struct ErasedApp(Box<dyn Erase>);

/// The answer to a request, or the app's error.
pub(crate) type Answered = Boxed<Result<Response<ErasedBody>, BoxError>>;

pub(super) trait Erase: Send {
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
            // It is not held for longer than the app's own future.
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
        #[cfg(feature = "axum")]
        let app = match super::downcast::downcast(app) {
            Ok(router) => return Self(Box::new(super::router::Routes::of(router))),
            Err(app) => app,
        };
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
