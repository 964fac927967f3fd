//! A WebSocket that outlives its process.

use std::pin::pin;
use std::time::Duration;

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

use super::log::Log;

/// All that is to be known of one, and goes along.
pub(crate) struct Session {
    name: String,
    /// What is before it was sent.
    place: u64,
}

impl Session {
    fn state(&self) -> SessionState {
        let bytes = [&self.place.to_le_bytes(), self.name.as_bytes()].concat();
        SessionState::new(1, bytes)
    }

    /// An app with accounts looks here whether the session still is one: a reload may be the reason that it is not.
    pub(crate) fn understand(state: SessionState) -> Result<Self, String> {
        match (state.version(), state.bytes().split_first_chunk()) {
            (1, Some((place, name))) => Ok(Self {
                name: String::from_utf8_lossy(name).into_owned(),
                place: u64::from_le_bytes(*place),
            }),
            (version, _) => Err(format!("a session of version {version} is not known here")),
        }
    }
}

/// By hand, because axum's `WebSocket` does not give its stream back.
pub(crate) async fn upgrade(State(log): State<Log>, mut request: Request) -> Response {
    let Ok(answer) = create_response_with_body(&request, Body::empty) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(place) = log.end() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let name = request.uri().query().unwrap_or("somebody").to_owned();
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrading.await {
            chat(RawWebSocket::new(upgraded), Session { name, place }, log).await;
        }
    });
    answer
}

/// From its first message on, or from where the generation before has left it.
pub(crate) async fn chat(socket: RawWebSocket, mut session: Session, log: Log) {
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    let mut ends = pin!(portkeep::stream_ends());
    loop {
        // What is done in an arm is done to its end; what waits in the others has done nothing yet.
        tokio::select! {
            () = &mut ends => break,
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if log.say(&format!("{}: {text}", session.name)).is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            line = log.next(session.place) => {
                let Ok((place, line)) = line else { return };
                if socket.send(Message::text(line)).await.is_err() {
                    return;
                }
                session.place = place;
            }
        }
    }
    if socket.flush().await.is_err() {
        return;
    }
    let handed_over = portkeep::hand_over(socket.into_inner(), "chat", session.state()).await;
    if let Err(refused) = handed_over {
        tracing::info!("{refused}");
        close(refused.socket).await;
    }
}

/// The client hears why, and comes back.
async fn close(socket: RawWebSocket) {
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    let frame = CloseFrame {
        code: CloseCode::Restart,
        reason: "a new version serves".into(),
    };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        let answered = async { while let Some(Ok(_)) = socket.next().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), answered).await;
    }
}
