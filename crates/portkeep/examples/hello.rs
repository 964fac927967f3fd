//! Run: `cargo run -p portkeep --example hello`, then open http://127.0.0.1:8080/
//! Or with a socket from outside: `systemfd --no-pid -s http::8080 -- cargo run -p portkeep --example hello`

use axum::{Router, routing::get};

#[tokio::main]
async fn main() -> Result<(), portkeep::Error> {
    portkeep::serve(Router::new().route("/", get(|| async { "Hello\n" }))).await
}
