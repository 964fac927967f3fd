//! The app under test: remembers what it was asked.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::BodyExt;

#[derive(Clone, Default)]
pub(super) struct TestApp(Arc<Memory>);

#[derive(Default)]
struct Memory {
    executed: Mutex<HashSet<String>>,
    twice: AtomicU64,
    smuggled: AtomicU64,
}

impl TestApp {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Requests that were executed more than once.
    pub(super) fn twice(&self) -> u64 {
        self.0.twice.load(Ordering::SeqCst)
    }

    /// Requests that nobody sent.
    pub(super) fn smuggled(&self) -> u64 {
        self.0.smuggled.load(Ordering::SeqCst)
    }

    pub(super) fn router(&self) -> axum::Router {
        axum::Router::new()
            .route("/fixed/{size}", get(fixed).post(fixed))
            .route("/late/{ms}", get(late))
            .route("/stream/{chunks}", get(stream))
            .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
            .route("/digest", post(digest))
            .route("/ignore/{ms}", post(late))
            .route("/early/{size}", post(early))
            .layer(from_fn_with_state(self.clone(), remember))
    }
}

async fn remember(State(app): State<TestApp>, request: Request, next: Next) -> Response {
    match request
        .headers()
        .get("x-id")
        .and_then(|id| id.to_str().ok())
    {
        Some(id) => {
            if !app.0.executed.lock().unwrap().insert(id.to_owned()) {
                app.0.twice.fetch_add(1, Ordering::SeqCst);
            }
        }
        None => {
            app.0.smuggled.fetch_add(1, Ordering::SeqCst);
        }
    }
    next.run(request).await
}

/// Quick, because many handlers share two threads with both sides of every session.
pub(super) fn letters(size: usize) -> Vec<u8> {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    let mut letters = ALPHABET.repeat(size / ALPHABET.len() + 1);
    letters.truncate(size);
    letters
}

/// Reads the body, if there is one.
async fn fixed(Path(size): Path<usize>, request: Request) -> Vec<u8> {
    let _ = request.into_body().collect().await;
    letters(size)
}

/// Does not look at the body.
async fn late(Path(ms): Path<u64>) -> &'static str {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    "late"
}

/// Not by `http_body_util::channel`: that loses a last chunk which is sent, with the end, while its reader has looked for the
/// one and not yet for the other.
async fn stream(Path(chunks): Path<u8>) -> Body {
    let chunks = stream::iter(0..chunks).then(|_| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok::<_, Infallible>("chunk")
    });
    Body::from_stream(chunks)
}

async fn digest(body: Bytes) -> String {
    let sum = body.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    format!("{} {sum}", body.len())
}

/// Answers, and reads the body beside it.
async fn early(Path(size): Path<usize>, request: Request) -> Vec<u8> {
    tokio::spawn(request.into_body().collect());
    letters(size)
}
