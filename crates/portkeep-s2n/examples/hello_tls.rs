//! Run: `cargo run --manifest-path crates/portkeep-s2n/Cargo.toml --example hello_tls`, then
//! `curl --insecure https://127.0.0.1:8443`.
//!
//! TLS that ends in the app, with connections that move to the next generation. Where `credentials` in portkeep.json name a
//! `tls.crt` and a `tls.key`, it takes those; else it makes a certificate that nobody believes in.

use axum::Router;
use axum::routing::get;
use portkeep::{BoxError, Server};
use portkeep_s2n::Settings;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt().init();
    let settings = match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(_) => Settings::from_credentials("tls.crt", "tls.key"),
        None => {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
            Settings::from_pem(made.cert.pem(), made.signing_key.serialize_pem())
        }
    };
    let tls = settings.load()?;
    let reread = tls.clone();

    let hello = || async { format!("Hello from process {}\n", std::process::id()) };
    Server::new()
        .listen("127.0.0.1:8443")
        .on_hangup(move || {
            let reread = reread.clone();
            async move {
                if let Err(error) = reread.reread() {
                    tracing::error!(%error, "the certificate is still the one from before");
                }
            }
        })
        .transport(tls)
        .serve(Router::new().route("/", get(hello)))
        .await?;
    Ok(())
}
