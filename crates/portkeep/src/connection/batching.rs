//! Answers to several requests of one connection are sent together.
//!
//! One read brings many requests, and each is a task of its own. The first of them that has its answer wakes the connection,
//! which would send this answer alone: a system call and a packet for each answer. So the connection lets the tasks that have
//! not run yet go first, and sends all their answers at once. It waits for nothing but its next turn, and a connection with
//! one request at a time does not wait at all.
//!
//! Handlers that keep a processor for long would hold up the answers that are there already. So a connection whose handlers do
//! that sends at once for a while. One of them now and then is none: its thread had to wait for a processor.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::probe::Probe;

/// A handler that keeps a processor for longer holds up others' answers: forty times what a small one takes.
const LONG: Duration = Duration::from_micros(200);
/// So many handlers of a connection are long: at least two, and one of eight.
const FEWEST: u64 = 2;
const ONE_OF: u64 = 8;
/// How long a connection sends at once after that.
const PAUSE: Duration = Duration::from_secs(1);
/// How long answers may wait for others. Only a runtime with thousands of ready tasks takes so long for one turn.
const LONGEST: Duration = Duration::from_millis(50);

/// Which handlers of one connection have run.
#[derive(Debug, Default)]
pub(super) struct Handlers {
    /// How many have run for the first time, or never will.
    ran: AtomicU64,
    /// How many of those kept a processor for long.
    long: AtomicU64,
}

/// How many handlers have run, and how many of them for long.
#[derive(Debug, Clone, Copy, Default)]
struct Ran {
    all: u64,
    long: u64,
}

impl Ran {
    fn since(self, before: Self) -> Self {
        Self {
            all: self.all - before.all,
            long: self.long - before.long,
        }
    }

    fn are_long(self) -> bool {
        self.long >= FEWEST && self.long * ONE_OF >= self.all
    }
}

impl Handlers {
    /// Where the handlers of so many requests have run before.
    pub(super) fn after(requests: u64) -> Self {
        Self {
            ran: AtomicU64::new(requests),
            long: AtomicU64::new(0),
        }
    }

    /// A handler will not run for the first time any more.
    pub(super) fn skip(&self) {
        self.ran.fetch_add(1, Relaxed);
    }

    /// Runs a handler for the first time, after so many `requests` have come.
    pub(super) fn run<T>(&self, requests: u64, handler: impl FnOnce() -> T) -> T {
        let before = self.ran.fetch_add(1, Relaxed);
        // Nobody's answer waits for the only one.
        if requests == before + 1 {
            return handler();
        }
        let began = Instant::now();
        let result = handler();
        if began.elapsed() > LONG {
            self.long.fetch_add(1, Relaxed);
        }
        result
    }

    fn ran(&self) -> Ran {
        Ran {
            all: self.ran.load(Relaxed),
            long: self.long.load(Relaxed),
        }
    }
}

/// A socket that sends answers together.
pub(super) struct Batching<T> {
    io: T,
    probe: Arc<Probe>,
    wait: Option<Wait>,
    /// It does not wait before.
    not_before: Option<Instant>,
    /// What had run when it was last decided whether handlers are long.
    ran: Ran,
}

/// Answers that are there, and wait.
#[derive(Debug, Clone, Copy)]
struct Wait {
    began: Instant,
    /// Until so many handlers have run.
    until: u64,
}

impl<T> Batching<T> {
    pub(super) fn new(io: T, probe: Arc<Probe>) -> Self {
        Self {
            io,
            probe,
            wait: None,
            not_before: None,
            ran: Ran::default(),
        }
    }

    /// Whether what is to be sent waits for the next turn of the connection's task.
    #[inline]
    fn waits(&mut self, cx: &Context<'_>) -> bool {
        let (ran, requests) = (self.probe.handlers.ran(), self.probe.requests());
        if ran.all == requests {
            self.wait = None;
            return false;
        }
        let waits = self.waits_for_others(ran, requests, Instant::now());
        if waits {
            // It has something to send.
            self.probe.wrote();
            // A task that wakes itself runs after those that are ready.
            cx.waker().wake_by_ref();
        }
        waits
    }

    fn waits_for_others(&mut self, ran: Ran, requests: u64, now: Instant) -> bool {
        if self.not_before.is_some_and(|then| now < then) {
            return false;
        }
        let wait = *self.wait.get_or_insert(Wait {
            began: now,
            until: requests,
        });
        let are_long = ran.since(self.ran).are_long();
        let is_too_long = are_long || now.duration_since(wait.began) >= LONGEST;
        if !is_too_long && ran.all < wait.until {
            return true;
        }
        if is_too_long {
            self.not_before = Some(now + PAUSE);
        }
        self.ran = ran;
        self.wait = None;
        false
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Batching<T> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Batching<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waits(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.waits(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::task::Waker;

    use axum::Router;
    use axum::routing::get;
    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt as _, Empty};
    use hyper::client::conn::http2::{SendRequest, handshake};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::duplex;
    use tokio::net::UnixStream;
    use tokio::time::timeout;

    use super::*;
    use crate::app::ErasedApp;
    use crate::connection::in_flight::InFlight;
    use crate::connection::test_transport::{Moments, behind};
    use crate::connection::{Arrival, serve};
    use crate::drain::Shared;
    use crate::listen::Stream;
    use crate::moving::{Speaks, departures};

    fn batching() -> Batching<Vec<u8>> {
        batching_after(false)
    }

    /// Of a connection that another process may have `used`.
    fn batching_after(used: bool) -> Batching<Vec<u8>> {
        let shared = Arc::new(Shared::new(Duration::ZERO, departures().0));
        let arrival = Arrival {
            used,
            ..Arrival::rehearsed(Stream::Wrapped(Box::new(duplex(1).0)))
        };
        Batching::new(Vec::new(), Arc::new(Probe::new(shared, &arrival)))
    }

    impl Batching<Vec<u8>> {
        /// Whether it sends an answer now.
        fn sends(&mut self) -> bool {
            let mut cx = Context::from_waker(Waker::noop());
            Pin::new(self).poll_write(&mut cx, b"answer").is_ready()
        }
    }

    /// Handlers that have run.
    fn ran(all: u64, long: u64) -> Ran {
        Ran { all, long }
    }

    #[test]
    fn one_request_at_a_time_waits_for_nothing() {
        for used in [false, true] {
            let mut socket = batching_after(used);
            let probe = Arc::clone(&socket.probe);
            for _ in 0..3 {
                probe.began(false);
                probe.handlers.run(probe.requests(), || ());
                assert!(socket.sends());
            }
        }
    }

    #[test]
    fn an_answer_waits_for_handlers_that_have_not_run() {
        let mut socket = batching();
        let probe = Arc::clone(&socket.probe);
        for _ in 0..3 {
            probe.began(false);
        }
        probe.handlers.run(probe.requests(), || ());
        probe.flushed();
        assert!(!socket.sends());
        assert!(!probe.is_clean(), "what waits is not sent");
        probe.handlers.skip();
        assert!(!socket.sends());
        probe.handlers.skip();
        assert!(socket.sends());
        assert!(socket.sends());
    }

    /// Its client has reset the stream.
    #[test]
    fn a_handler_that_is_dropped_before_it_runs_is_not_waited_for() {
        let mut socket = batching();
        let requests = [(); 2].map(|()| InFlight::new(&socket.probe, None, true));
        assert!(!socket.sends());
        drop(requests);
        assert!(socket.sends());
    }

    #[test]
    fn an_answer_does_not_wait_for_requests_that_come_while_it_waits() {
        let mut socket = batching();
        let now = Instant::now();
        assert!(socket.waits_for_others(ran(1, 0), 2, now));
        assert!(socket.waits_for_others(ran(1, 0), 12, now));
        assert!(!socket.waits_for_others(ran(2, 0), 12, now));
    }

    #[test]
    fn behind_handlers_that_keep_the_processor_answers_do_not_wait() {
        let mut socket = batching();
        let now = Instant::now();
        // One may have waited for a processor.
        assert!(socket.waits_for_others(ran(1, 1), 10, now));
        assert!(!socket.waits_for_others(ran(2, 2), 10, now));
        assert!(!socket.waits_for_others(ran(3, 2), 10, now + PAUSE / 2));
        // They still are.
        assert!(!socket.waits_for_others(ran(30, 20), 40, now + PAUSE));
        assert!(socket.waits_for_others(ran(60, 23), 70, now + 2 * PAUSE));
    }

    #[test]
    fn a_handler_counts_as_long_if_it_keeps_the_processor_while_others_wait() {
        let handlers = Handlers::default();
        let long = || {
            let began = Instant::now();
            while began.elapsed() <= LONG {}
        };
        handlers.run(1, long);
        assert_eq!(handlers.ran().long, 0);
        handlers.run(3, long);
        assert_eq!(handlers.ran().long, 1);
    }

    #[test]
    fn a_handler_that_never_runs_does_not_hold_up_the_others_for_ever() {
        let mut socket = batching();
        let now = Instant::now();
        assert!(socket.waits_for_others(ran(1, 0), 2, now));
        assert!(socket.waits_for_others(ran(1, 0), 2, now + LONGEST / 2));
        assert!(!socket.waits_for_others(ran(1, 0), 2, now + LONGEST));
        assert!(!socket.waits_for_others(ran(1, 0), 3, now + LONGEST + PAUSE / 2));
        assert!(socket.waits_for_others(ran(1, 0), 3, now + LONGEST + PAUSE));
    }

    /// A client of a server that counts its writes. One worker, so that it is certain who runs when: without batching, the
    /// connection runs right after the first task that wakes it. In a runtime of the current thread it would not.
    async fn client() -> (SendRequest<Empty<Bytes>>, Arc<Moments>) {
        let (client, server) = UnixStream::pair().unwrap();
        let shared = Arc::new(Shared::new(Duration::ZERO, departures().0));
        let (io, moments) = behind(server, &shared).await;
        let app = Router::new()
            .route("/", get(async || "Hello"))
            .route("/never", get(async || pending::<()>().await));
        tokio::spawn(serve(io, Speaks::Unknown, ErasedApp::new(app)));
        let handshake = handshake(TokioExecutor::new(), TokioIo::new(client));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        // With the settings.
        answers(&mut sender, &["/"]).await;
        (sender, moments)
    }

    /// Sends requests at once, and waits for those of the answers that come.
    async fn answers(sender: &mut SendRequest<Empty<Bytes>>, paths: &[&str]) {
        sender.ready().await.unwrap();
        let send = |path: &&str| {
            let request = Request::get(format!("http://localhost{path}"));
            let answer = sender.send_request(request.body(Empty::new()).unwrap());
            (*path == "/", answer)
        };
        let answers: Vec<_> = paths.iter().map(send).collect();
        for (comes, answer) in answers {
            if comes {
                let body = answer.await.unwrap().into_body().collect().await.unwrap();
                assert_eq!(body.to_bytes(), "Hello");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn answers_to_requests_of_one_read_are_one_write() {
        let (mut sender, moments) = client().await;
        let mut writes_for = async |paths: &[&str]| {
            let before = moments.writes.load(Relaxed);
            answers(&mut sender, paths).await;
            moments.writes.load(Relaxed) - before
        };
        assert_eq!(writes_for(&["/"]).await, 1);
        // A machine that stops this thread for long in the middle of a round makes several.
        let deadline = Instant::now() + Duration::from_secs(30);
        while writes_for(&["/"; 10]).await != 1 {
            assert!(Instant::now() < deadline, "each answer is a write");
        }
    }

    /// Nobody else wakes the connection after the last handler has run.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn answers_do_not_wait_for_a_handler_that_waits() {
        let (mut sender, _) = client().await;
        let paths = ["/", "/", "/", "/never", "/"];
        // Sooner than the ping that would wake it.
        let time = Duration::from_secs(15);
        timeout(time, answers(&mut sender, &paths)).await.unwrap();
    }
}
