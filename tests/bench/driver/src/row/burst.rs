//! Row 4: many connections at once while nothing runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Measure, Row};
use crate::client::fetch;
use crate::results::Measurement;
use crate::serving::{Bench, wait_on};
use crate::tool::Tool;

pub(super) const ROW: Row = Row {
    number: 4,
    title: "Connections while nothing runs",
    explained: "The tool has just been started; the app will need 2 s. 200 and 2,000 connections at once, a request on each, 30 s of \
                patience. A kernel that finds the queue full lets the client try again after 1, 3, 7 and 15 s.",
    charts: &[("2000 at once", "answered")],
    columns: &[
        ("answered", "answered"),
        ("kinds", "the others"),
        ("median ms", "median, ms"),
        ("slowest ms", "slowest, ms"),
    ],
    rounds: 1,
    takes: Duration::from_secs(10),
    measure: Measure::Each(measure),
};

const START: Duration = Duration::from_secs(2);
/// What a tool needs until it holds the port, and the app does not run yet.
const HOLDS: Duration = Duration::from_millis(700);

fn measure(bench: &Bench, tool: &dyn Tool) -> anyhow::Result<Vec<Measurement>> {
    [200, 2000]
        .into_iter()
        .map(|count| {
            let serving = bench.start(tool, "bench-app", START)?;
            sleep(HOLDS);
            wait_on(at_once(serving.place.address, count))
                .ok_or_else(|| anyhow::anyhow!("no runtime"))
        })
        .collect()
}

async fn at_once(address: SocketAddr, count: usize) -> Measurement {
    let start = Instant::now();
    let requests: Vec<_> = (0..count)
        .map(|_| tokio::spawn(async move { (fetch(address, "/").await, start.elapsed()) }))
        .collect();
    let mut times = Vec::new();
    let mut kinds = BTreeMap::<String, u64>::new();
    for request in requests {
        match request.await {
            Ok((Ok(_), time)) => times.push(time),
            Ok((Err(failure), _)) => *kinds.entry(failure.to_string()).or_default() += 1,
            Err(_) => *kinds.entry("other".to_owned()).or_default() += 1,
        }
    }
    times.sort_unstable();
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let measured = Measurement::of(format!("{count} at once"))
        .count("answered", times.len() as u64)
        .word("kinds", kinds.join(", "));
    match (times.get(times.len() / 2), times.last()) {
        (Some(median), Some(slowest)) => measured
            .time("median ms", *median)
            .time("slowest ms", *slowest),
        _ => measured,
    }
}
