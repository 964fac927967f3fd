//! An HTTP/1 connection.
//!
//! A connection that is between requests and flushed can move to another process: `into_parts` takes it out of hyper as it
//! is. Nothing is announced, and no state changes.
//!
//! hyper's `graceful_shutdown` is used in one state only, idle and flushed: in others it closes a new connection without an
//! answer, drops half a head, or ends a connection whose running answer has promised keep-alive. All others end by
//! `Connection: close` in an answer, or by a limit that the client has exceeded.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper_util::rt::TokioIo;

use super::answering::Answering;
use super::head_timer::HeadTimer;
use super::idle_linger::IdleLinger;
use super::io::Io;
use super::lingering_close::lingering_close;
use super::orders::OrderWaker;
use super::probe::Stage;
use super::refusal::refuse;
use super::retry_pause::RetryPause;
use crate::app::ErasedApp;
use crate::drain::{Phase, count};
use crate::limits::{Order, Reason};

/// How the connection's future ended.
enum End {
    Over(hyper::Result<()>),
    /// Idle: it can go to the next generation.
    Idle,
    /// A limit, and hyper cannot end it in good order.
    Limit(Reason),
    Cut,
}

/// Serves until the connection is over. If it returns the connection, that is idle and can move.
pub(super) async fn serve(io: Io, app: ErasedApp) -> Option<Io> {
    let probe = io.probe();
    let shared = Arc::clone(&probe.shared);
    probe.enter(Stage::Http1);
    let mut connection = connection(io, app);
    let mut ear = OrderWaker::default();
    let mut watch = std::pin::pin!(shared.phases.watch());
    let mut linger = IdleLinger::default();
    let mut pause = RetryPause::new(&probe);

    let end = std::future::poll_fn(|cx| {
        loop {
            // Before the connection: if the phase ends in between, the task is woken again.
            let phase = probe.sees(watch.as_mut().poll_phase(cx));
            if phase == Phase::Cut {
                return Poll::Ready(End::Cut);
            }
            let was_clean = probe.is_clean();
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(End::Over(result));
            }
            if !was_clean && probe.is_clean() {
                // hyper does not look again for a pipelined request that it parsed before the last answer was sent; without
                // this poll it hangs.
                continue;
            }
            if phase == Phase::Moving && probe.is_movable() && pause.poll(cx).is_ready() {
                return Poll::Ready(End::Idle);
            }
            match probe.order(cx, &mut ear) {
                Some(Order::End(reason @ (Reason::Idle | Reason::Age | Reason::Crowded))) => {
                    shared.counts.ended.count(reason);
                    Pin::new(&mut connection).graceful_shutdown();
                    continue;
                }
                Some(Order::End(reason)) => return Poll::Ready(End::Limit(reason)),
                // Polling has looked already.
                Some(Order::Look | Order::Last) | None => {}
            }
            if linger.poll(cx, &probe, phase).is_pending() {
                return Poll::Pending;
            }
            count(&shared.counts.idle_closed);
            Pin::new(&mut connection).graceful_shutdown();
        }
    })
    .await;

    match end {
        End::Cut => probe.count_cut(),
        End::Limit(reason) => {
            shared.counts.ended.count(reason);
            tracing::debug!(%reason, "a connection ended: its client took too long");
            // If no byte of an answer is sent, and a request has begun, the client gets the reason.
            let asked = reason == Reason::Body || (reason == Reason::Head && probe.is_mid_head());
            if asked && let Some(parts) = connection.into_parts() {
                refuse(parts.io.into_inner()).await;
            }
        }
        End::Idle => {
            // If its parts are there, an upgraded connection is over, not idle.
            let parts = connection.into_parts()?;
            let mut io = parts.io.into_inner();
            // hyper's bytes come before those that are still to be read again.
            io.give_back(&parts.read_buf);
            return Some(io);
        }
        End::Over(result) => {
            let say_goodbye = match &result {
                Ok(()) => true,
                // hyper has answered 400 or similar.
                Err(error) => error.is_parse(),
            };
            if let Err(error) = result {
                tracing::debug!(%error, "connection ended");
            }
            match connection.into_parts() {
                Some(parts) if say_goodbye => {
                    lingering_close(parts.io.into_inner(), !parts.read_buf.is_empty()).await;
                }
                Some(_) => {}
                // It was upgraded and belongs to the app now.
                None => probe.enter(Stage::Apps),
            }
        }
    }
    None
}

/// The only type of connection: each further type would link all of hyper's HTTP/1 into every app again.
pub(super) type Connection = UpgradeableConnection<TokioIo<Io>, Answering>;

/// Serves nothing until it is polled.
pub(super) fn connection(io: Io, app: ErasedApp) -> Connection {
    let probe = io.probe();
    let mut builder = Builder::new();
    builder
        .timer(HeadTimer::new(Arc::clone(&probe)))
        // Starts the timer, whose length does not matter.
        .header_read_timeout(Duration::from_secs(3600))
        // With it, a flush would not mean that everything is written.
        .pipeline_flush(false);
    builder
        .serve_connection(TokioIo::new(io), Answering::new(app, probe))
        .with_upgrades()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, sleep, timeout};

    use super::super::Arrival;
    use super::*;
    use crate::drain::Shared;
    use crate::drain_files::DrainFiles;
    use crate::limits::Limits;
    use crate::listen::Stream;
    use crate::moving::departures;
    use crate::sweeper::sweep;

    const HEAD: Duration = Duration::from_secs(30);
    const IDLE: Duration = Duration::from_secs(300);

    /// The client's side of a connection that is served.
    fn connect() -> DuplexStream {
        let (client, server) = duplex(1 << 16);
        let limits = Limits::new().head(HEAD).idle(IDLE);
        let shared = Shared::new(HEAD, departures().0).limited(limits, usize::MAX);
        let shared = Arc::new(shared);
        tokio::spawn(sweep(Arc::clone(&shared), None, DrainFiles::default()));
        let io = Io::new(
            Arrival::rehearsed(Stream::Wrapped(Box::new(server))),
            &shared,
        );
        let read = axum::routing::post(|body: axum::body::Bytes| async move { body });
        let app = ErasedApp::new(axum::Router::new().route("/body", read));
        tokio::spawn(async move { assert!(serve(io, app).await.is_none()) });
        client
    }

    /// Sends a request and has its answer.
    async fn ask(client: &mut DuplexStream) {
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0);
        }
    }

    /// Checks that it stays open for this long and little more. Returns what it received then.
    async fn stays(client: &mut DuplexStream, limit: Duration) -> String {
        let began = Instant::now();
        let mut heard = String::new();
        let end = timeout(10 * limit, client.read_to_string(&mut heard)).await;
        assert!(end.is_ok_and(|read| read.is_ok()), "it should end");
        let took = began.elapsed();
        assert!((limit..limit + HEAD / 4).contains(&took), "{took:?}");
        heard
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_and_so_has_the_pause_between_two_requests() {
        let begin = b"GET / HTTP/1.1\r\nhost";
        // None at all, or not the whole of it.
        assert_eq!(stays(&mut connect(), HEAD).await, "");
        let mut client = connect();
        client.write_all(begin).await.unwrap();
        assert!(stays(&mut client, HEAD).await.starts_with("HTTP/1.1 408 "));

        let mut client = connect();
        for _ in 0..2 {
            ask(&mut client).await;
            sleep(IDLE - HEAD).await;
        }
        client.write_all(begin).await.unwrap();
        assert!(stays(&mut client, HEAD).await.starts_with("HTTP/1.1 408 "));
        let mut client = connect();
        ask(&mut client).await;
        assert_eq!(stays(&mut client, IDLE).await, "");
    }

    /// Sends a body of a byte each `pause`, for ten minutes at most. Returns what its client receives, and after how long.
    async fn drip(pause: Duration) -> (String, Duration) {
        let mut client = connect();
        client
            .write_all(b"POST /body HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\nx")
            .await
            .unwrap();
        let began = Instant::now();
        let (mut reading, mut writing) = tokio::io::split(client);
        let drips = async {
            while began.elapsed() < Duration::from_secs(600) {
                sleep(pause).await;
                if writing.write_all(b"x").await.is_err() {
                    return;
                }
            }
        };
        let mut heard = Vec::new();
        tokio::select! {
            () = drips => {}
            _ = reading.read_to_end(&mut heard) => {}
        }
        (String::from_utf8(heard).unwrap(), began.elapsed())
    }

    /// A byte within its limit is progress. One later than that, and than it takes to notice, is not waited for.
    #[tokio::test(start_paused = true)]
    async fn a_body_has_a_minute_for_each_next_byte() {
        let (heard, took) = drip(Duration::from_secs(59)).await;
        assert_eq!((heard.as_str(), took.as_secs() >= 600), ("", true));
        let (heard, took) = drip(Duration::from_secs(70)).await;
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
        assert!(took < Duration::from_secs(70), "{took:?}");
    }

    /// A byte now and then does not make a head longer.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_has_no_more_time() {
        let mut client = connect();
        let began = Instant::now();
        for byte in b"GET /".iter().chain(std::iter::repeat(&b'x')) {
            if client.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
            assert!(began.elapsed() < 2 * HEAD);
        }
        assert!(began.elapsed() >= HEAD);
    }
}
