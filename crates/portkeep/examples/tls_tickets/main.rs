//! Run: `cargo run -p portkeep --example tls_tickets`, then `curl --insecure https://127.0.0.1:8443`.
//!
//! TLS by rustls, whose connections drain at a handover. Its generations share session ticket keys, so that clients which connect
//! anew resume: a fraction of the processor time of a full handshake, and no more round trips.

mod keys;

use std::path::PathBuf;
use std::sync::Arc;

use axum::{Router, routing::get};
use portkeep::{BoxError, Server};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// Where systemd lets the app keep something: over a reboot, or not.
fn directory() -> Option<PathBuf> {
    let directories =
        std::env::var_os("STATE_DIRECTORY").or(std::env::var_os("RUNTIME_DIRECTORY"))?;
    std::env::split_paths(&directories).next()
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt().init();
    // In earnest it comes from files; systemd passes them by `credentials` in portkeep.json.
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key.into())?;
    match directory() {
        Some(directory) => config.ticketer = Arc::new(keys::SharedKeys::open(directory)?),
        None => tracing::warn!("no directory for ticket keys: sessions end with this process"),
    }
    let tls = TlsAcceptor::from(Arc::new(config));

    Server::new()
        .listen("127.0.0.1:8443")
        .accept_with(move |connection| tls.accept(connection))
        .serve(Router::new().route("/", get(|| async { "Hello, again\n" })))
        .await?;
    Ok(())
}
