//! Calls at a steady rate, on one channel.
//!
//! `PORTKEEP_CLIENT_RELOADS` sets how many reloads there are, `PORTKEEP_GRPC_RATE` how many calls a second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use grpc_reloads::Question;
use grpc_reloads::witness_client::WitnessClient;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tonic::transport::Channel;

use crate::manager::PATIENCE;
use crate::probe;
use crate::world::World;

const DRAIN: Duration = Duration::from_secs(30);
/// A client that is not certain yet is waited for.
const LINGER: Duration = Duration::from_secs(10);

fn number(variable: &str, default: u32) -> u32 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap())
}

/// What the calls came to.
#[derive(Debug, Default)]
struct Seen {
    /// How many each process has given.
    answers: BTreeMap<u32, u64>,
    failures: Vec<String>,
    /// The client's ends of its connections, as the servers have seen them.
    connections: BTreeSet<String>,
}

async fn call(mut client: WitnessClient<Channel>, number: u64, seen: Arc<Mutex<Seen>>) {
    let answer = client.ask(Question { number }).await;
    let mut seen = seen.lock().unwrap();
    match answer.map(tonic::Response::into_inner) {
        Ok(answer) if answer.number == number => {
            *seen.answers.entry(answer.process).or_default() += 1;
            seen.connections.insert(answer.client);
        }
        Ok(other) => seen.failures.push(format!("{number}: {other:?}")),
        Err(status) => seen.failures.push(format!("{number}: {status}")),
    }
}

/// One call each time it is due, whether the one before has been answered or not.
fn calls(
    client: WitnessClient<Channel>,
    rate: u32,
    seen: &Arc<Mutex<Seen>>,
    over: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    let (seen, over) = (Arc::clone(seen), Arc::clone(over));
    tokio::spawn(async move {
        let mut due = interval(Duration::from_secs(1) / rate);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut calls = JoinSet::new();
        let mut number = 0;
        while !over.load(SeqCst) {
            due.tick().await;
            calls.spawn(call(client.clone(), number, Arc::clone(&seen)));
            number += 1;
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
    })
}

/// Waits until this process has answered so many.
async fn answered_by(process: u32, answers: u64, seen: &Mutex<Seen>) {
    let deadline = Instant::now() + 3 * PATIENCE;
    loop {
        let count = seen.lock().unwrap().answers.get(&process).copied();
        if count.unwrap_or_default() >= answers {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{process} has answered {count:?}, and there were {:?}",
            seen.lock().unwrap()
        );
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_fails_and_nobody_connects_again() {
    let reloads = number("PORTKEEP_CLIENT_RELOADS", 10);
    let rate = number("PORTKEEP_GRPC_RATE", 1000);
    // Some of each second in each generation.
    let answers = u64::from(rate / 5);
    let world = World::new();
    let mut current = world.setup(DRAIN, LINGER).start_ready();
    let client = world.client().await;
    let (seen, over) = (Arc::default(), Arc::default());
    let began = Instant::now();
    let calling = calls(client, rate, &seen, &over);
    answered_by(current.id(), answers, &seen).await;
    for _ in 0..reloads {
        let setup = world.setup(DRAIN, LINGER);
        current = tokio::task::spawn_blocking(move || {
            let next = setup.start_ready();
            current.drain();
            let report = current.report();
            assert!(
                report.contains("1 moved, 0 idle closed, nothing cut"),
                "{report}\n{}",
                current.story()
            );
            next
        })
        .await
        .unwrap();
        answered_by(current.id(), answers, &seen).await;
    }
    over.store(true, SeqCst);
    calling.await.unwrap();
    let seen = seen.lock().unwrap();
    let all: u64 = seen.answers.values().sum();
    println!(
        "measured: tonic's channel, {reloads} reloads: {all} calls ({:.0}/s), {} failed, on {} connections",
        all as f64 / began.elapsed().as_secs_f64(),
        seen.failures.len(),
        seen.connections.len()
    );
    assert_eq!(seen.failures, Vec::<String>::new());
    assert_eq!(seen.connections.len(), 1);
}

/// What the test above would see if connections ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_moving_the_channel_connects_again() {
    let world = World::new();
    let start = || {
        let setup = world.setup(DRAIN, LINGER).set(probe::KEEPS_HTTP2, 1);
        setup.start_ready()
    };
    let mut old = start();
    let (seen, over) = (Arc::default(), Arc::default());
    let calling = calls(world.client().await, 50, &seen, &over);
    answered_by(old.id(), 1, &seen).await;
    let new = start();
    old.drain();
    answered_by(new.id(), 1, &seen).await;
    over.store(true, SeqCst);
    calling.await.unwrap();
    assert_eq!(seen.lock().unwrap().connections.len(), 2);
    let report = old.report();
    assert!(report.contains("0 moved"), "{report}");
}
