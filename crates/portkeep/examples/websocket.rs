//! Run: `cargo run -p portkeep --example websocket`, connect to ws://127.0.0.1:8080/ and press Ctrl-C here.
//!
//! A WebSocket that says "service restart" (close code 1012) when the process drains.

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code::RESTART};
use axum::{Router, routing::get};
use futures_util::{SinkExt, StreamExt};

#[tokio::main]
async fn main() -> Result<(), portkeep::Error> {
    tracing_subscriber::fmt().init();
    let upgrade = |upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) };
    portkeep::serve(Router::new().route("/", get(upgrade))).await
}

async fn echo(socket: WebSocket) {
    let frame = CloseFrame {
        code: RESTART,
        reason: "a new version serves".into(),
    };
    let mut socket = portkeep::close_at_drain(socket, Message::Close(Some(frame)));
    while let Some(Ok(message)) = socket.next().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            let _ = socket.send(message).await;
        }
    }
}
