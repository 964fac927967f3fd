use axum::{Router, routing::get};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = Router::new().route("/", get(|| async { ([("x-version", "VERSION")], "Hello\n") }));
    portkeep::serve(app).await?;
    Ok(())
}
