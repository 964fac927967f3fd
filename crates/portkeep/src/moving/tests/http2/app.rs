//! The app under test, and what it answers.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;

use super::super::app::letters;
use super::Sent;

/// In every answer, so that a compressor keeps it.
pub(super) const SAME: (&str, &str) = ("x-same", "the same in every answer of this app");

#[derive(Clone, Default)]
pub(super) struct Http2App(Arc<Memory>);

#[derive(Default)]
struct Memory {
    executed: Mutex<HashSet<String>>,
    twice: AtomicU64,
}

impl Http2App {
    /// Requests that were executed more than once.
    pub(super) fn twice(&self) -> u64 {
        self.0.twice.load(Ordering::SeqCst)
    }

    pub(super) fn router(&self) -> axum::Router {
        axum::Router::new()
            .route("/fixed/{size}", get(fixed))
            .route("/late/{ms}", get(late).post(late))
            .route("/stream/{chunks}", get(stream))
            .route("/sum", post(sum))
            .layer(from_fn_with_state(self.clone(), remember))
    }
}

async fn remember(State(app): State<Http2App>, request: Request, next: Next) -> Response {
    let id = request.headers().get("x-id").cloned();
    if let Some(id) = id.as_ref().and_then(|id| id.to_str().ok())
        && !app.0.executed.lock().unwrap().insert(id.to_owned())
    {
        app.0.twice.fetch_add(1, Ordering::SeqCst);
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(SAME.0, HeaderValue::from_static(SAME.1));
    if let Some(id) = id {
        headers.insert("x-id", id);
    }
    response
}

/// What `/sum` answers.
pub(super) fn sum_of(body: &[u8], trailer: Option<&str>) -> String {
    let sum = body.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    format!("{} {sum} {trailer:?}", body.len())
}

async fn fixed(Path(size): Path<usize>) -> Vec<u8> {
    letters(size)
}

/// Does not look at the body.
async fn late(Path(ms): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    "late"
}

async fn stream(Path(chunks): Path<u8>) -> Body {
    let (sender, body) = Sent::channel();
    tokio::spawn(async move {
        for _ in 0..chunks {
            let chunk = Frame::data(Bytes::from_static(b"chunk"));
            let _ = sender.send(chunk).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let trailers = [("x-trailer", chunks)].map(|(name, value)| {
            let value = HeaderValue::from(u16::from(value));
            (http::HeaderName::from_static(name), value)
        });
        let trailers = Frame::trailers(HeaderMap::from_iter(trailers));
        let _ = sender.send(trailers).await;
    });
    Body::new(body)
}

async fn sum(request: Request) -> Result<String, axum::http::StatusCode> {
    let collected = request.into_body().collect().await;
    // Who resets a request does not want its answer.
    let collected = collected.map_err(|_| axum::http::StatusCode::BAD_REQUEST)?;
    let trailer = collected
        .trailers()
        .and_then(|trailers| Some(trailers.get("x-trailer")?.to_str().ok()?.to_owned()));
    Ok(sum_of(&collected.to_bytes(), trailer.as_deref()))
}
