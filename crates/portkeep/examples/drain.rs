//! Run: `cargo run -p portkeep --example drain`, then `curl -N 127.0.0.1:8080/clock` and Ctrl-C here.
//!
//! An endless answer that ends in good order: it watches `portkeep::shutdown()`.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::{Router, routing::get};
use futures_util::stream::{StreamExt, unfold};
use portkeep::{Error, Server};

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().init();
    Server::new()
        .drain_timeout(Duration::from_secs(10))
        .linger(Duration::from_secs(1))
        .serve(Router::new().route("/clock", get(clock)))
        .await
}

async fn clock() -> Body {
    let seconds = tokio::time::interval(Duration::from_secs(1));
    let shutdown = Box::pin(portkeep::shutdown());
    let lines = unfold(Some((seconds, shutdown)), |clock| async {
        let (mut seconds, mut shutdown) = clock?;
        tokio::select! {
            () = &mut shutdown => Some(("bye\n", None)),
            _ = seconds.tick() => Some(("tick\n", Some((seconds, shutdown)))),
        }
    });
    Body::from_stream(lines.map(Ok::<_, Infallible>))
}
