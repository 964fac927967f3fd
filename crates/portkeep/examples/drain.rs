//! Run: `cargo run -p portkeep --example drain`, then `curl -N 127.0.0.1:8080/clock` and Ctrl-C here.
//!
//! An endless answer that ends in good order: it watches `portkeep::shutdown()`.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::{Router, routing::get};
use http_body_util::channel::Channel;
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
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    tokio::spawn(async move {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        let mut shutdown = std::pin::pin!(portkeep::shutdown());
        loop {
            let line = tokio::select! {
                () = &mut shutdown => break,
                _ = seconds.tick() => Bytes::from_static(b"tick\n"),
            };
            if sender.send_data(line).await.is_err() {
                return;
            }
        }
        let _ = sender.send_data(Bytes::from_static(b"bye\n")).await;
    });
    Body::new(body)
}
