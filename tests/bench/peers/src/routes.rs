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

impl App {
    fn new(version: &str, told: Told) -> Self {
        Self {
            version: version.into(),
            told,
        }
    }
}

/// `/` answers a line, `/sse` ticks, and `/ws` answers; the last two by the version.
pub fn router(version: &str, told: Told) -> Router {
    let app = App::new(version, Arc::clone(&told));
    pages(version, told).route("/ws", get(upgrade).with_state(app))
}

/// All but the WebSocket.
pub fn pages(version: &str, told: Told) -> Router {
    Router::new()
        .route("/", get(hello))
        .route("/sse", get(clock))
        .with_state(App::new(version, told))
}

async fn hello(State(app): State<App>) -> impl IntoResponse {
    ([("x-version", app.version.to_string())], "Hello\n")
}

async fn clock(State(app): State<App>) -> Response {
    let tick = format!("data: {}\n\n", app.version);
    let ticks = unfold((app.told)(), move |mut told| {
        let tick = tick.clone();
        async {
            tokio::select! {
                () = &mut told => None,
                () = tokio::time::sleep(TICK) => Some((Ok::<_, Infallible>(tick), told)),
            }
        }
    });
    (
        [(CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(ticks),
    )
        .into_response()
}

async fn upgrade(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
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
                Some(Ok(Message::Text(_))) => {
                    if socket.send(Message::Text((&*app.version).into())).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}
