//! axum's router, which most apps are.

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use tower_service::Service;

use super::ErasedBody;
use super::erased::{Answered, Erase};

/// A router whose handlers have become routes once, as `axum::serve` has it. Else each request would make
/// a route of its handler anew.
pub(super) struct Routes(Router);

impl Routes {
    pub(super) fn of(router: Router) -> Self {
        Self(router.with_state(()))
    }
}

impl Erase for Routes {
    fn answer(&self, request: Request<Incoming>) -> Answered {
        // It is always ready.
        let called = self.0.clone().call(request);
        Box::pin(async { Ok(called.await?.map(ErasedBody::Axum)) })
    }

    fn clone_boxed(&self) -> Box<dyn Erase> {
        Box::new(Self(self.0.clone()))
    }
}
