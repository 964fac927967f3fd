//! Self-test: do this hyper and h2 behave as moving HTTP/2 connections needs it?
//!
//! A move relies on nothing but RFC 9113, with one exception: that h2 does at once what it is told, and sends nothing else
//! meanwhile. An app may be built with another h2 than the tested one, so each process checks it before it serves a
//! connection that is to move. That takes some hundred microseconds.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

use super::super::Arrival;
use super::followed::{Followed, Socket};
use super::follower::FIRST_WINDOW;
use super::frames::{
    ACK, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, Head, PING, PREFACE, SETTINGS, Step,
    WINDOW_UPDATE, put,
};
use super::prologue::Prologue;
use super::settings::{HEADER_TABLE_SIZE, Settings, USUAL_TABLE_SIZE};
use super::state::State;
use super::{Answering, Connection, Io, Probe, Rehearsed, Tasks, connection};
use crate::app::ErasedApp;
use crate::drain::Shared;
use crate::listen::Stream;
use crate::moving::departures;

/// Whether HTTP/2 connections may be moved with these versions of hyper and h2.
pub(crate) fn can_move() -> bool {
    KNOWN.is_some()
}

/// Whether a connection in this state can continue here.
pub(super) fn can_resume(state: &State) -> bool {
    KNOWN.as_ref().is_some_and(|known| {
        let ours = state.ours.without(HEADER_TABLE_SIZE);
        known.ours == ours && state.receive_window <= known.window
    })
}

/// What a new connection announces.
#[derive(Debug, PartialEq, Eq)]
struct InitialSettings {
    ours: Settings,
    window: u32,
}

static KNOWN: LazyLock<Option<InitialSettings>> = LazyLock::new(|| {
    let known = check();
    if let Err(when) = known {
        tracing::error!(when, "h2 is not as expected");
    }
    known.ok()
});

/// The answer of the app.
const ANSWER: &str = "answer";
/// The table that the client allows, and how an update to that is written: behind one to 0.
const TABLE: u32 = 100;
const UPDATES: [u8; 3] = [0x20, 0x3f, 69];
/// `GET /` after an update of the table size to 0, and without.
const REQUEST: &[u8] = b"\x20\x82\x84\x86";
const PLAIN: &[u8] = b"\x82\x84\x86";

/// What a new connection announces, or the first unexpected observation.
fn check() -> Result<InitialSettings, &'static str> {
    let mut it = Scenario::begin(None);
    let mut settings = Settings::default();
    settings.set(HEADER_TABLE_SIZE, TABLE);
    it.client.send(PREFACE);
    it.client.frame(SETTINGS, 0, 0, &settings.payload());
    it.run("it has begun")?;
    it.client.frame(SETTINGS, ACK, 0, &[]);
    it.stays("there was no request")?;
    it.client.frame(HEADERS, END_STREAM | END_HEADERS, 1, PLAIN);
    it.stays("a handler runs")?;
    it.client.scene().full = true;
    it.client.scene().answered = true;
    it.stays("the answer cannot be sent")?;
    it.client.scene().full = false;
    it.stays("the client may have a table")?;
    it.tells_table(0)?;
    it.stays("the client has not acknowledged that it may have no table")?;
    it.client.frame(SETTINGS, ACK, 0, &[]);
    let request = [
        &Head {
            length: REQUEST.len() as u32,
            kind: HEADERS,
            flags: END_STREAM | END_HEADERS,
            stream: 3,
        }
        .encode()[..],
        REQUEST,
    ]
    .concat();
    // A part of its head.
    let (begun, rest) = request.split_at(5);
    it.client.send(begun);
    let (io, state) = it.leaves("the answer was sent")?;
    let sent = FIRST_WINDOW - ANSWER.len() as u32;
    if (state.last, state.send_window) != (1, sent) {
        return Err("the state is another one after a request");
    }
    let known = InitialSettings {
        ours: state.ours.without(HEADER_TABLE_SIZE),
        window: state.receive_window,
    };
    if state.said {
        return Err("the client has said nothing of its table");
    }

    // It continues where it was.
    let client = it.client;
    client.heard();
    let mut it = Scenario::resume(io, client, state);
    it.run("it was resumed")?;
    if !it.followed.has_begun() {
        return Err("h2 does not listen to the prologue");
    }
    if !it.client.heard().is_empty() {
        return Err("the client hears of the prologue");
    }
    it.client.send(rest);
    it.run("a request came in two parts")?;
    let heard = it.client.heard();
    // What it kept before is forgotten, so it may keep something again.
    it.client.frame(SETTINGS, ACK, 0, &[]);
    let frames = frames(&heard);
    let answered = frames.iter().any(|(head, payload)| {
        (head.kind, head.stream) == (HEADERS, 3) && payload.starts_with(&UPDATES)
    });
    if !answered {
        return Err("the second answer does not begin with an empty table");
    }
    let told = frames.iter().filter(|(head, _)| head.kind == SETTINGS);
    if !told
        .map(|(_, payload)| table_of(payload))
        .eq([Some(USUAL_TABLE_SIZE)])
    {
        return Err("the client is not told that it may have a table");
    }
    let (_, state) = it.leaves("the second answer was sent")?;
    if !state.said {
        return Err("the client has said that it keeps nothing");
    }
    let sent = sent - ANSWER.len() as u32;
    if (state.last, state.send_window) != (3, sent) || state.receive_window != known.window {
        return Err("the state is another one after a move");
    }
    ends_well(state)?;
    Ok(known)
}

/// A moved connection names the last request when it ends, and the client is told its window.
fn ends_well(mut state: State) -> Result<(), &'static str> {
    const LESS: u32 = 1000;
    state.receive_window -= LESS;
    state.send_window = 3 * FIRST_WINDOW;
    let mut it = Scenario::begin(Some(state));
    it.run("it was resumed with other windows")?;
    let heard = it.client.heard();
    let told = frames(&heard);
    let [(head, payload)] = &told[..] else {
        return Err("the client is not told its window");
    };
    if (head.kind, head.stream, &payload[..]) != (WINDOW_UPDATE, 0, &LESS.to_be_bytes()) {
        return Err("the client is told another window");
    }
    it.connection.as_mut().graceful_shutdown();
    it.run("it was told to end")?;
    let heard = it.client.heard();
    for (head, payload) in frames(&heard) {
        if head.kind == PING {
            it.client.frame(PING, ACK, 0, &payload);
        }
    }
    // It is over now, or not yet.
    let _ = it.run("it ends");
    let heard = it.client.heard();
    let last = frames(&heard)
        .into_iter()
        .rfind(|(head, _)| head.kind == GOAWAY);
    match last {
        Some((_, payload)) if payload.starts_with(&[0, 0, 0, 3]) => Ok(()),
        _ => Err("the last request is not named"),
    }
}

fn table_of(payload: &[u8]) -> Option<u32> {
    let mut settings = Settings::default();
    settings.merge(payload);
    settings.get(HEADER_TABLE_SIZE)
}

fn frames(bytes: &[u8]) -> Vec<(Head, Vec<u8>)> {
    let mut rest = bytes;
    let mut frames = Frames::default();
    let (mut found, mut payload) = (Vec::new(), Vec::new());
    while let Some(step) = frames.step(&mut rest) {
        match step {
            Step::Begin(_) => {}
            Step::Payload(part) => payload.extend_from_slice(part),
            Step::End(head) => found.push((head, std::mem::take(&mut payload))),
        }
    }
    found
}

/// A connection like those of clients, except for its socket and its tasks.
struct Scenario {
    client: Client,
    probe: Arc<Probe>,
    followed: Followed,
    connection: Pin<Box<Connection>>,
    tasks: Rehearsed,
}

impl Scenario {
    fn begin(state: Option<State>) -> Self {
        let client = Client::default();
        client.scene().answered = state.is_some();
        let shared = Arc::new(Shared::new(Duration::ZERO, departures().0));
        let stream = Stream::Wrapped(Box::new(client.clone()));
        let io = Io::new(Arrival::rehearsed(stream), &shared);
        Self::of(io, client, state)
    }

    fn resume(io: Io, client: Client, state: State) -> Self {
        Self::of(io, client, Some(state))
    }

    fn of(io: Io, client: Client, state: Option<State>) -> Self {
        let probe = io.probe();
        let tasks = Rehearsed::default();
        let mut answering = Answering::new(ErasedApp::new(client.clone()), Arc::clone(&probe));
        if let Some(state) = &state {
            answering.begin_with(Prologue::debt(state));
        }
        let followed = Followed::new(io, state);
        let socket = Socket::Followed(followed.clone());
        let ending = Arc::new(AtomicBool::new(false));
        let executor = Tasks(Some(Arc::clone(&tasks)));
        let connection = connection(socket, answering, None, &ending, executor);
        Self {
            client,
            probe,
            followed,
            connection: Box::pin(connection),
            tasks,
        }
    }

    /// Lets everything happen that can.
    fn run(&mut self, when: &'static str) -> Result<(), &'static str> {
        let mut cx = Context::from_waker(Waker::noop());
        // A few rounds complete everything.
        for _ in 0..20 {
            if self.connection.as_mut().poll(&mut cx).is_ready() {
                return Err(when);
            }
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
        }
        Ok(())
    }

    /// Announces a table of this size to the client, as a connection does that is to move.
    fn tells_table(&mut self, size: u32) -> Result<(), &'static str> {
        self.client.heard();
        let mut cx = Context::from_waker(Waker::noop());
        self.followed.prepare(&mut cx, &self.probe);
        let heard = self.client.heard();
        match &frames(&heard)[..] {
            [(head, payload)] if head.kind == SETTINGS && table_of(payload) == Some(size) => Ok(()),
            _ => Err("the client is not told that it may have no table"),
        }
    }

    fn stays(&mut self, when: &'static str) -> Result<(), &'static str> {
        self.run(when)?;
        match self.probe.is_clean() && self.followed.take().is_some() {
            true => Err(when),
            false => Ok(()),
        }
    }

    fn leaves(&mut self, when: &'static str) -> Result<(Io, State), &'static str> {
        self.run(when)?;
        self.probe
            .is_clean()
            .then(|| self.followed.take())
            .flatten()
            .ok_or(when)
    }
}

/// The client, the socket and the app of a connection, in one place.
#[derive(Default)]
struct Scene {
    sent: VecDeque<u8>,
    heard: Vec<u8>,
    /// Whether the client takes no more bytes.
    full: bool,
    /// Whether the app may answer.
    answered: bool,
}

#[derive(Clone, Default)]
struct Client(Arc<Mutex<Scene>>);

impl Client {
    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, bytes: &[u8]) {
        self.scene().sent.extend(bytes);
    }

    fn frame(&self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut bytes = Vec::new();
        put(&mut bytes, kind, flags, stream, payload);
        self.send(&bytes);
    }

    /// Bytes since the last call.
    fn heard(&self) -> Vec<u8> {
        std::mem::take(&mut self.scene().heard)
    }
}

impl Service<Request<Incoming>> for Client {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        let app = self.clone();
        Box::pin(poll_fn(move |_| match app.scene().answered {
            true => Poll::Ready(Ok(Response::new(ANSWER.to_owned()))),
            false => Poll::Pending,
        }))
    }
}

impl AsyncRead for Client {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut scene = self.scene();
        if scene.sent.is_empty() {
            return Poll::Pending;
        }
        let count = buf.remaining().min(scene.sent.len());
        let bytes: Vec<_> = scene.sent.drain(..count).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut scene = self.scene();
        if scene.full {
            return Poll::Pending;
        }
        scene.heard.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
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
    fn h2_is_what_it_was() {
        let known = check().unwrap();
        assert!(known.window > FIRST_WINDOW);
        assert_eq!(known.ours.get(HEADER_TABLE_SIZE), None);
    }

    /// A generation with another hyper may announce other settings, or another window.
    #[test]
    fn what_was_promised_otherwise_does_not_go_on_here() {
        let known = check().unwrap();
        let state = State {
            last: 1,
            send_window: FIRST_WINDOW,
            receive_window: known.window,
            said: true,
            ours: known.ours,
            theirs: Settings::default(),
        };
        assert!(can_resume(&state));
        // A client whose window is smaller is told the difference, one that has sent all of it too.
        for receive_window in [0, FIRST_WINDOW, known.window - 1] {
            assert!(can_resume(&State {
                receive_window,
                ..state.clone()
            }));
        }
        assert!(!can_resume(&State {
            receive_window: known.window + 1,
            ..state.clone()
        }));
        // Of streams, of frames, how many there may be, and one that was not announced.
        for (number, value) in [(4, 1 << 16), (5, 1 << 20), (3, 1), (6, 1 << 13), (8, 7)] {
            let mut ours = known.ours;
            let before = ours.get(number);
            ours.set(number, value);
            assert!(
                before == Some(value)
                    || !can_resume(&State {
                        ours,
                        ..state.clone()
                    })
            );
        }
        let fewer = Settings::default();
        assert!(!can_resume(&State {
            ours: fewer,
            ..state
        }));
    }
}
