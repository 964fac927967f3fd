//! On portkeep-s2n: the app of row 1 over TLS. Certificate and key are in the directory that `BENCH_TLS` names.

#[path = "../../../peers/src/release.rs"]
mod release;

use std::env;
use std::path::PathBuf;

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use portkeep_s2n::Settings;
use release::Release;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let release = Release::start().await?;
    let files = env::var_os("BENCH_TLS").context("BENCH_TLS is not set")?;
    let files = PathBuf::from(files);
    let tls = Settings::from_files(files.join("cert.pem"), files.join("key.pem")).load()?;
    let version = release.version.clone();
    let app = Router::new().route("/", get(|| async { ([("x-version", version)], "Hello\n") }));
    release.serving();
    portkeep::Server::new()
        .listen(release.address.to_string())
        .transport(tls)
        .serve(app)
        .await?;
    Ok(())
}
