//! What the app answers.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::unfold;

/// A clock's pace.
const TICK: Duration = Duration::from_millis(50);
/// "Service restart".
const RESTARTS: u16 = 1012;

/// Makes a future that completes when this process is told to end.
pub type Told = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// For tools that do not tell handlers.
pub fn never_told() -> Told {
    Arc::new(|| Box::pin(pending()))
}

#[derive(Clone)]
struct App {
    version: Arc<str>,
    told: Told,
}

/// `/` answers a line, `/sse` ticks, `/ws` echoes.
pub fn router(version: &str, told: Told) -> Router {
    let app = App {
        version: version.into(),
        told,
    };
    Router::new()
        .route("/", get(hello))
        .route("/sse", get(clock))
        .route("/ws", get(echo))
        .with_state(app)
}

async fn hello(State(app): State<App>) -> impl IntoResponse {
    ([("x-version", app.version.to_string())], "Hello\n")
}

async fn clock(State(app): State<App>) -> Response {
    let ticks = unfold(Some((app.told)()), |told| async {
        let mut told = told?;
        tokio::select! {
            () = &mut told => None,
            () = tokio::time::sleep(TICK) => Some((Ok::<_, Infallible>("data: tick\n\n"), Some(told))),
        }
    });
    (
        [(CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(ticks),
    )
        .into_response()
}

async fn echo(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| talk(socket, app))
}

async fn talk(mut socket: WebSocket, app: App) {
    let mut told = (app.told)();
    loop {
        tokio::select! {
            () = &mut told => {
                let close = CloseFrame { code: RESTARTS, reason: "restarting".into() };
                // Nobody is there to be told if it fails.
                let _ = socket.send(Message::Close(Some(close))).await;
                return;
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}
