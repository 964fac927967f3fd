//! An app on hyper's types alone: WebSockets that count what they are told, and go on counting in the next generation.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use portkeep::{Incoming, RawWebSocket, Server, SessionState};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};
use tower_service::Service;

/// Upgrades whoever asks, and tells others which process it is.
#[derive(Clone)]
pub(crate) struct Counting;

impl Service<Request<Incoming>> for Counting {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let process = std::process::id().to_string();
        let answer = create_response_with_body(&request, String::new)
            .unwrap_or_else(|_| Response::new(process));
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrading = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let socket = RawWebSocket::new(upgrading.await.unwrap());
                count(socket, 0).await;
            });
        }
        Box::pin(async { Ok(answer) })
    }
}

/// The next generation goes on with them here.
pub(crate) fn resume(server: Server) -> Server {
    let understand = |state: SessionState| match (state.version(), state.bytes().try_into()) {
        (1, Ok(count)) => Ok(u64::from_le_bytes(count)),
        (version, _) => Err(format!("version {version} is not known here")),
    };
    server.resume("count", understand, count)
}

async fn count(socket: RawWebSocket, mut count: u64) {
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    let mut ends = pin!(portkeep::stream_ends());
    loop {
        tokio::select! {
            () = &mut ends => break,
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    count += 1;
                    let answer = format!("{} {count} {text}", std::process::id());
                    if socket.send(Message::text(answer)).await.is_err() {
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
    let state = SessionState::new(1, count.to_le_bytes());
    let Err(refused) = portkeep::hand_over(socket.into_inner(), "count", state).await else {
        return;
    };
    eprintln!("STAYS {refused}");
    let mut socket = WebSocketStream::from_raw_socket(refused.socket, Role::Server, None).await;
    let frame = CloseFrame {
        code: CloseCode::Restart,
        reason: "a new version serves".into(),
    };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        let answered = async { while let Some(Ok(_)) = socket.next().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), answered).await;
    }
}
