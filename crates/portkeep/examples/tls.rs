//! Run: `cargo run -p portkeep --example tls`, then `curl --insecure https://127.0.0.1:8443`.
//!
//! TLS that ends in the app, for HTTP/1.1 and HTTP/2. Its connections drain, they do not move.

use std::sync::Arc;

use axum::{Router, routing::get};
use portkeep::{BoxError, Server};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt().init();
    // In earnest it comes from files; systemd passes them by `credentials` in portkeep.json.
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key.into())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(config));

    Server::new()
        .listen("127.0.0.1:8443")
        .accept_with(move |connection| tls.accept(connection))
        .serve(Router::new().route("/", get(|| async { "Hello, in private\n" })))
        .await?;
    Ok(())
}
