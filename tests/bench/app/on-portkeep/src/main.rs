use axum::{Router, routing::get};

#[tokio::main]
async fn main() {
    let app = Router::new().route("/", get(|| async { "VERSION" }));
    portkeep::serve(app).await.unwrap();
}
