//! On the server library of portkeep, as its README shows it.

use std::sync::Arc;

use peers::{Release, router};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let release = Release::start().await?;
    let app = router(
        &release.version,
        Arc::new(|| Box::pin(portkeep::shutdown())),
    );
    release.serving();
    let server = portkeep::Server::new().listen(release.address.to_string());
    server.serve(app).await?;
    Ok(())
}
