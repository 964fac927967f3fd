//! Run: `systemd-socket-activate -l 8080 -l 9090 --fdname=http:admin cargo run -p portkeep --example two_sockets`
//!
//! HTTP on one passed socket; the other one, taken by name, is the app's own business.

use std::error::Error;

use axum::{Router, routing::get};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let admin = portkeep::Sockets::from_env()?.tcp("admin")?;
    let admin = TcpListener::from_std(admin)?;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = admin.accept().await {
            let line = format!("process {} lives\n", std::process::id());
            let _ = client.write_all(line.as_bytes()).await;
        }
    });
    // What was taken is not served.
    portkeep::serve(Router::new().route("/", get(|| async { "Hello\n" }))).await?;
    Ok(())
}
