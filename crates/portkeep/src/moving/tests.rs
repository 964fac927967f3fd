//! Moves connections again and again, at any moment, and compares what clients get with what they
//! get when nothing moves.
//!
//! Generations are real but for their processes: the accept loops, the sessions over a socket with
//! descriptors, the connections. Each case is one connection with several requests. Its answers
//! must be byte for byte those of the same requests to a server that never moves anything, each
//! request executed once, and none parsed from inside a body.
//!
//! `PORTKEEP_MOVE_CASES=100000` runs more of them, `PORTKEEP_MOVE_SEED` others.

mod app;
mod case;
mod cipher;
mod client;

mod generations;
#[cfg(feature = "http2")]
mod http2;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use crate::seeded_random::SeededRandom;
use app::TestApp;
use case::{Case, Class};
use client::Ending;
use generations::{Generations, Outcome, still_server};

/// What stands between the sockets and HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Through {
    Nothing,
    /// Records of which only a part may have come, and counters that are right to the byte.
    Cipher,
}

/// Connections at a time.
const AT_ONCE: u64 = 48;

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap())
}

#[derive(Default)]
struct Totals {
    requests: AtomicU64,
    /// Ended by hyper after an answer to a request whose body was not read.
    early: AtomicU64,
}

async fn run(class: Class, through: Through, cases: u64) {
    let cases = number("PORTKEEP_MOVE_CASES", cases);
    let seed = number("PORTKEEP_MOVE_SEED", 1);
    let (moved, unmoved) = (TestApp::new(), TestApp::new());
    let still = still_server(unmoved.clone());
    let generations = Generations::start(moved.router(), through, seed);
    let address = generations.address();
    let totals = Arc::new(Totals::default());
    let next = Arc::new(AtomicU64::new(0));

    let mut clients = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (totals, next) = (Arc::clone(&totals), Arc::clone(&next));
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= cases {
                    return;
                }
                let case = Case::new(class, number, &mut SeededRandom::new(seed, number));
                let expected = client::plainly(still, &case).await;
                let got = client::randomly(
                    address,
                    through,
                    &case,
                    &expected,
                    SeededRandom::new(!seed, number),
                )
                .await;
                totals
                    .requests
                    .fetch_add(case.requests.len() as u64, Ordering::Relaxed);
                match got.compare(&expected, class) {
                    Ok(Ending::Whole) => {}
                    Ok(Ending::Early) => {
                        totals.early.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(difference) => {
                        panic!("seed {seed}, {class:?} case {number}: {difference}\n{case:#?}")
                    }
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
    assert_eq!(failed, 0, "a session has failed");
    println!(
        "measured: {class:?}, {through:?}: {cases} cases, {} requests, {moves} moves in {handovers} handovers, {} ended early, {} executed twice, {} parsed from a body",
        totals.requests.load(Ordering::Relaxed),
        totals.early.load(Ordering::Relaxed),
        moved.twice(),
        moved.smuggled(),
    );
    assert_eq!((moved.twice(), moved.smuggled()), (0, 0));
    assert_eq!((unmoved.twice(), unmoved.smuggled()), (0, 0));
    assert!(moves > cases / 10, "too little was moved to prove anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_kinds_of_requests() {
    run(Class::Normal, Through::Nothing, 2000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_transport() {
    run(Class::Normal, Through::Cipher, 1000).await;
    run(Class::Ignored, Through::Cipher, 500).await;
    run(Class::Early, Through::Cipher, 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_nobody_reads() {
    run(Class::Ignored, Through::Nothing, 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_before_the_body_is_read() {
    run(Class::Early, Through::Nothing, 500).await;
}
