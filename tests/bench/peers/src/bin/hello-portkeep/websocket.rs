//! The WebSocket of all peers, which goes on in the next generation.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use portkeep::{RawWebSocket, SessionState};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};

pub(crate) async fn upgrade(State(version): State<Arc<str>>, mut request: Request) -> Response {
    let Ok(answer) = create_response_with_body(&request, Body::empty) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrading.await {
            talk(RawWebSocket::new(upgraded), version).await;
        }
    });
    answer
}

/// There is nothing to be known of one.
pub(crate) fn understand(state: SessionState) -> Result<(), String> {
    match state.version() {
        1 => Ok(()),
        other => Err(format!("version {other} is not known here")),
    }
}

/// Answers which version this is.
pub(crate) async fn talk(socket: RawWebSocket, version: Arc<str>) {
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    let mut ends = pin!(portkeep::stream_ends());
    loop {
        tokio::select! {
            () = &mut ends => break,
            message = socket.next() => match message {
                Some(Ok(Message::Text(_))) => {
                    if socket.send(Message::text(&*version)).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
    if socket.flush().await.is_err() {
        return;
    }
    let state = SessionState::new(1, *b"");
    let Err(refused) = portkeep::hand_over(socket.into_inner(), "talk", state).await else {
        return;
    };
    let mut socket = WebSocketStream::from_raw_socket(refused.socket, Role::Server, None).await;
    let close = CloseFrame {
        code: CloseCode::Restart,
        reason: "restarting".into(),
    };
    // Nobody is there to be told if it fails.
    let _ = socket.send(Message::Close(Some(close))).await;
}
