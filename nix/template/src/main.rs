use axum::{Router, response::Html, routing::get};

#[tokio::main]
async fn main() -> Result<(), portkeep::Error> {
    let app = Router::new().route("/", get(page));
    portkeep::serve(app).await
}

async fn page() -> Html<&'static str> {
    Html("<!doctype html><title>Hello</title><h1>Hello</h1><p>Edit src/main.rs and reload.</p>")
}
