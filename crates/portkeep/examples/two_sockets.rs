//! Run: `systemd-socket-activate -l 8080 -l 9090 --fdname=http:admin cargo run -p portkeep --example two_sockets`
//!
//! Serves HTTP on one passed socket. The app takes the other one by name and uses it itself.

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
    // The app took this socket, so `serve` leaves it alone.
    portkeep::serve(Router::new().route("/", get(|| async { "Hello\n" }))).await?;
    Ok(())
}
