//! On the server library of portkeep, as its README shows it; WebSockets are handed over to the next generation.

mod websocket;

use std::sync::Arc;

use axum::routing::get;
use peers::{Release, pages};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let release = Release::start().await?;
    let version: Arc<str> = release.version.as_str().into();
    let told = Arc::new(|| Box::pin(portkeep::shutdown()) as _);
    let upgrade = get(websocket::upgrade).with_state(Arc::clone(&version));
    let app = pages(&version, told).route("/ws", upgrade);
    release.serving();
    portkeep::Server::new()
        .listen(release.address.to_string())
        .resume("talk", websocket::understand, move |socket, ()| {
            websocket::talk(socket, Arc::clone(&version))
        })
        .serve(app)
        .await?;
    Ok(())
}
