//! Whether hyper is as moving connections needs it.
//!
//! Two facts about a connection are observed from outside (see `probe`), through behaviour that
//! hyper does not promise. An app may be built with another hyper than the one that was tested, so
//! each process makes sure before it moves anything. It takes some microseconds.

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
use hyper::rt::ReadBufCursor;
use hyper::service::service_fn;

use super::probe::Probe;
use super::{Peer, http1};
use crate::drain::Shared;
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
    /// What the client has sent.
    sent: VecDeque<u8>,
    /// The client takes nothing more.
    full: bool,
    /// The app has its answer.
    answered: bool,
    /// The request that the app still holds, with its body.
    held: Option<Request<Incoming>>,
}

#[derive(Clone)]
struct Stage {
    scene: Arc<Mutex<Scene>>,
    probe: Arc<Probe>,
}

type Service = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

/// The first thing that is not as expected.
fn check() -> Result<(), &'static str> {
    between_requests()?;
    with_a_body()?;
    answered_early()
}

fn between_requests() -> Result<(), &'static str> {
    let stage = Stage::new();
    let mut connection = http1::builder(&stage.probe)
        .serve_connection(stage.clone(), stage.service())
        .with_upgrades();
    let mut movable = |expected, when| stage.movable(&mut connection, expected, when);

    movable(true, "nothing has come")?;
    stage.send("GET / HTTP/1.1\r\n");
    movable(true, "a part of a head has come")?;
    stage.send("host: test\r\n\r\n");
    movable(false, "a handler runs")?;
    stage.scene().full = true;
    stage.scene().answered = true;
    movable(false, "the answer cannot be sent")?;
    stage.scene().full = false;
    movable(true, "the answer was sent")?;
    stage.send("GET / HT");
    movable(true, "a part of another head has come")?;

    match connection.into_parts() {
        Some(parts) if *parts.read_buf == *b"GET / HT" => Ok(()),
        _ => Err("what was read and not parsed is not there"),
    }
}

fn with_a_body() -> Result<(), &'static str> {
    let stage = Stage::new();
    let mut connection = http1::builder(&stage.probe)
        .serve_connection(stage.clone(), stage.service())
        .with_upgrades();
    let mut movable = |expected, when| stage.movable(&mut connection, expected, when);

    stage.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 8\r\n\r\nhalf");
    movable(false, "a body arrives")?;
    stage.scene().answered = true;
    movable(false, "the answer was sent before the body was there")
}

/// The request ends after its answer is written, and before that is sent.
fn answered_early() -> Result<(), &'static str> {
    let stage = Stage::new();
    let mut connection = http1::builder(&stage.probe)
        .serve_connection(stage.clone(), stage.service())
        .with_upgrades();
    let mut movable = |expected, when| stage.movable(&mut connection, expected, when);

    stage.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 8\r\n\r\nhalf");
    movable(false, "a body arrives")?;
    stage.scene().full = true;
    stage.scene().answered = true;
    movable(false, "an early answer cannot be sent")?;
    stage.send("half");
    // Each part of the body is read when it is asked for.
    for _ in 0..4 {
        stage.read_body();
        movable(false, "the body ends, and the answer was not sent")?;
    }
    stage.scene().full = false;
    movable(true, "the early answer was sent")
}

impl Stage {
    fn new() -> Self {
        let shared = Arc::new(Shared::new(Duration::ZERO, departures().0));
        Self {
            scene: Arc::default(),
            probe: Arc::new(Probe::new(shared, Peer::nobody(), "".into(), false)),
        }
    }

    /// An app that keeps each request until it is told to answer.
    fn service(
        &self,
    ) -> impl hyper::service::Service<
        Request<Incoming>,
        Response = Response<String>,
        Error = Infallible,
        Future = Service,
    > + Unpin
    + use<> {
        let app = self.clone();
        service_fn(move |request| {
            app.scene().held = Some(request);
            let app = app.clone();
            let answer = poll_fn(move |_| match app.scene().answered {
                true => Poll::Ready(Ok(Response::new("answer".to_owned()))),
                false => Poll::Pending,
            });
            Box::pin(answer) as Service
        })
    }

    fn movable(
        &self,
        connection: &mut (impl Future + Unpin),
        expected: bool,
        when: &'static str,
    ) -> Result<(), &'static str> {
        let mut cx = Context::from_waker(Waker::noop());
        let pending = Pin::new(connection).poll(&mut cx).is_pending();
        match pending && self.probe.is_movable() == expected {
            true => Ok(()),
            false => Err(when),
        }
    }

    /// The app asks for what there is of the request's body.
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
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl hyper::rt::Read for Stage {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let sent = std::mem::take(&mut self.scene().sent);
        if sent.is_empty() {
            return Poll::Pending;
        }
        self.probe.read(sent.len());
        buf.put_slice(&Vec::from(sent));
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Stage {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.probe.wrote();
        match self.scene().full {
            true => Poll::Pending,
            false => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.probe.flushed();
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
