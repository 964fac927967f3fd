//! On `axum_graceful_restart`, as its README shows it: SIGHUP starts the next one.

use peers::{Release, never_told, router};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let release = Release::start().await?;
    release.serving();
    let app = router(&release.version, never_told());
    axum_graceful_restart::serve(release.address, app).await?;
    Ok(())
}
