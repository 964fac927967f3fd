//! Run: `cargo run -p portkeep --example plain_tower`, then open http://127.0.0.1:8080/
//!
//! Without axum: any tower service will do. (`tower::service_fn` makes this one a line.)

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{Request, Response};
use portkeep::Incoming;
use tower_service::Service;

#[derive(Clone)]
struct Hello;

impl Service<Request<Incoming>> for Hello {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(Response::new(format!("Hello {}\n", request.uri()))))
    }
}

#[tokio::main]
async fn main() -> Result<(), portkeep::Error> {
    portkeep::serve(Hello).await
}
