//! Run: `cargo run -p hello`, then open http://127.0.0.1:8080/
//!
//! The smallest app that portkeep serves.

use axum::response::Html;
use axum::{Router, routing::get};

#[tokio::main]
async fn main() -> Result<(), portkeep::Error> {
    tracing_subscriber::fmt().init();
    portkeep::serve(Router::new().route("/", get(hello))).await
}

/// Says which process answers, to see a handover happen.
async fn hello() -> Html<String> {
    // Only set when portkeep started this process.
    let generation = std::env::var("PORTKEEP_GENERATION").unwrap_or_else(|_| "none".to_owned());
    let pid = std::process::id();
    Html(format!(
        "<!doctype html>\n\
         <html lang=\"en\">\n\
         <title>Hello</title>\n\
         <h1>Hello</h1>\n\
         <p>generation {generation}, process {pid}</p>\n\
         </html>\n"
    ))
}
