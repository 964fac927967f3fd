//! Self-test: does this hyper behave as moving connections needs it?
//!
//! Two facts about a connection are observed from outside (see `probe`), through behaviour that hyper does not promise. An
//! app may be built with another hyper than the tested one, so each process checks it before it moves anything. That takes
//! some microseconds.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

use super::Arrival;
use super::http1::{self, Connection};
use super::io::Io;
use super::probe::Probe;
use crate::app::ErasedApp;
use crate::drain::Shared;
use crate::listen::Stream;
use crate::moving::departures;

/// Whether connections may be moved with this version of hyper.
pub(crate) fn hyper_is_as_expected() -> bool {
    static RESULT: LazyLock<bool> = LazyLock::new(|| {
        let result = check();
        if let Err(when) = result {
            tracing::error!(when, "hyper is not as expected");
        }
        result.is_ok()
    });
    *RESULT
}

/// The client, the socket and the app of a connection, in one place.
#[derive(Default)]
struct Scene {
    /// Bytes that the client has sent.
    sent: VecDeque<u8>,
    /// Whether the client takes no more bytes.
    full: bool,
    /// Whether the app may answer.
    answered: bool,
    /// The request that the app still holds, with its body.
    held: Option<Request<Incoming>>,
}

/// The socket, and the app, which keeps each request until it is told to answer.
#[derive(Clone, Default)]
struct Stage(Arc<Mutex<Scene>>);

/// A connection like those of clients, except for its socket.
struct Rehearsal {
    stage: Stage,
    probe: Arc<Probe>,
    connection: Connection,
}

/// The first unexpected observation.
fn check() -> Result<(), &'static str> {
    between_requests()?;
    with_a_body()?;
    answered_early()
}

fn between_requests() -> Result<(), &'static str> {
    let mut it = Rehearsal::begin();
    it.movable(true, "nothing has come")?;
    it.stage.send("GET / HTTP/1.1\r\n");
    it.movable(true, "a part of a head has come")?;
    it.stage.send("host: test\r\n\r\n");
    it.movable(false, "a handler runs")?;
    it.stage.scene().full = true;
    it.stage.scene().answered = true;
    it.movable(false, "the answer cannot be sent")?;
    it.stage.scene().full = false;
    it.movable(true, "the answer was sent")?;
    it.stage.send("GET / HT");
    it.movable(true, "a part of another head has come")?;

    match it.connection.into_parts() {
        Some(parts) if *parts.read_buf == *b"GET / HT" => Ok(()),
        _ => Err("what was read and not parsed is not there"),
    }
}

fn with_a_body() -> Result<(), &'static str> {
    let mut it = Rehearsal::begin();
    it.stage
        .send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 8\r\n\r\nhalf");
    it.movable(false, "a body arrives")?;
    it.stage.scene().answered = true;
    it.movable(false, "the answer was sent before the body was there")
}

/// A request ends after its answer is written, and before that is sent.
fn answered_early() -> Result<(), &'static str> {
    let mut it = Rehearsal::begin();
    it.stage
        .send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 8\r\n\r\nhalf");
    it.movable(false, "a body arrives")?;
    it.stage.scene().full = true;
    it.stage.scene().answered = true;
    it.movable(false, "an early answer cannot be sent")?;
    it.stage.send("half");
    // Each part of the body is read when the app asks for it.
    for _ in 0..4 {
        it.stage.read_body();
        it.movable(false, "the body ends, and the answer was not sent")?;
    }
    it.stage.scene().full = false;
    it.movable(true, "the early answer was sent")
}

impl Rehearsal {
    fn begin() -> Self {
        let shared = Arc::new(Shared::new(Duration::ZERO, departures().0));
        let stage = Stage::default();
        let io = Io::new(
            Arrival::rehearsed(Stream::Wrapped(Box::new(stage.clone()))),
            &shared,
        );
        let probe = io.probe();
        let app = ErasedApp::new(stage.clone());
        Self {
            stage,
            probe,
            connection: http1::connection(io, app),
        }
    }

    fn movable(&mut self, expected: bool, when: &'static str) -> Result<(), &'static str> {
        let mut cx = Context::from_waker(Waker::noop());
        let pending = Pin::new(&mut self.connection).poll(&mut cx).is_pending();
        // What hyper does, not what the app is known to do.
        match pending && self.probe.is_between_requests() == expected {
            true => Ok(()),
            false => Err(when),
        }
    }
}

impl Stage {
    /// The app reads the available part of the request's body.
    fn read_body(&self) {
        if let Some(request) = &mut self.scene().held {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = Pin::new(request.body_mut()).poll_frame(&mut cx);
        }
    }

    fn send(&self, bytes: &str) {
        self.scene().sent.extend(bytes.bytes());
    }

    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<Request<Incoming>> for Stage {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.scene().held = Some(request);
        let app = self.clone();
        Box::pin(poll_fn(move |_| match app.scene().answered {
            true => Poll::Ready(Ok(Response::new("answer".to_owned()))),
            false => Poll::Pending,
        }))
    }
}

impl AsyncRead for Stage {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let sent = std::mem::take(&mut self.scene().sent);
        if sent.is_empty() {
            return Poll::Pending;
        }
        buf.put_slice(&Vec::from(sent));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stage {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.scene().full {
            true => Poll::Pending,
            false => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyper_is_what_it_was() {
        assert_eq!(check(), Ok(()));
    }
}
