//! HTTP/2 connections that move again and again, at any moment.
//!
//! As for HTTP/1: generations are real but for their processes, each request is executed once, and each answer is what it has to
//! be. `library` asks by hyper's client, with all kinds of windows and tables, and by many streams at once; its decoder finds out
//! a compressor that has another table. `scripted` writes frames by hand: padded, continued, cut anywhere, with settings that
//! change, and counts what it is sent against what it allowed.

mod app;
mod library;
mod scripted;
mod written;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::app::Http2App;
use super::generations::{Generations, Outcome};
use super::{Through, number};
use crate::seeded_random::SeededRandom;

/// Connections at a time.
const AT_ONCE: u64 = 32;

/// What has happened on all connections.
#[derive(Default)]
struct Totals {
    requests: AtomicU64,
    /// Connections that the server has ended before their client did, with nothing wrong.
    ended: AtomicU64,
}

impl Totals {
    fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// A body that somebody sends. (`http_body_util`'s may lose its last frame when its sender is dropped.)
struct Sent(mpsc::Receiver<Frame<Bytes>>);

impl Sent {
    fn channel() -> (mpsc::Sender<Frame<Bytes>>, Self) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Self(receiver))
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

async fn run<F>(
    name: &str,
    through: Through,
    cases: u64,
    case: impl Fn(SocketAddr, u64, SeededRandom, Arc<Totals>) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Result<(), String>> + Send,
{
    // Each is a connection with some twenty requests.
    let cases = number("PORTKEEP_MOVE_CASES", 10 * cases) / 10;
    let seed = number("PORTKEEP_MOVE_SEED", 1);
    let app = Http2App::default();
    let generations = Generations::start(app.router(), through, seed);
    let address = generations.address();
    let totals = Arc::new(Totals::default());
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (totals, next, case) = (Arc::clone(&totals), Arc::clone(&next), case.clone());
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= cases {
                    return;
                }
                let random = SeededRandom::new(seed, number);
                if let Err(difference) = case(address, number, random, Arc::clone(&totals)).await {
                    panic!("seed {seed}, case {number}: {difference}");
                }
            }
        });
    }
    while let Some(result) = clients.join_next().await {
        result.unwrap();
    }
    let Outcome {
        handovers,
        moves,
        failed,
    } = generations.stop().await;
    let ended = totals.ended.load(Ordering::Relaxed);
    println!(
        "measured: {name}: {cases} connections, {} requests, {moves} moves in {handovers} handovers, {ended} ended early, {failed} sessions failed, {} executed twice",
        totals.requests.load(Ordering::Relaxed),
        app.twice(),
    );
    assert_eq!(app.twice(), 0);
    assert!(moves > cases / 2, "too little was moved to prove anything");
    // Those that were asked to move before they had said that they have no table.
    assert!(ended <= cases / 5, "most should stay");
    // Where a machine is so busy that nobody answers for a second, connections end well all the same.
    assert!(failed <= handovers / 10, "{failed} sessions have failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_library() {
    run("hyper's client", Through::Nothing, 150, library::case).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_by_hand() {
    run("frames by hand", Through::Nothing, 300, scripted::case).await;
}
