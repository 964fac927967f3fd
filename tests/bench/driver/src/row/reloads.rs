//! Row 1: what clients lose while versions change.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Row;
use crate::client::{Load, Protocol};
use crate::place::Kind;
use crate::results::Measurement;
use crate::serving::Bench;
use crate::tool::Tool;

pub(super) const ROW: Row = Row {
    number: 1,
    title: "Reloads under load",
    explained: "4,000 requests a second on 50 connections (HTTP/2: 10) at fixed times, without any retry; the app needs 0.3 s to start; \
                a reload every 0.8 s. A request is failed if it got no answer with status 200; a connection is closed if the server \
                ended it under the client. The slowest counts from the moment at which the request was due.",
    columns: &[
        ("failed", "failed requests"),
        ("kinds", "of which"),
        ("closed", "connections closed"),
        ("slowest ms", "slowest, ms"),
        ("p99.9 ms", "p99.9, ms"),
        ("silence ms", "longest without any answer, ms"),
        ("reloads seen", "versions that answered"),
        ("requests", "requests"),
    ],
    measure,
};

const START: Duration = Duration::from_millis(300);
const PACE: Duration = Duration::from_millis(800);

fn measure(bench: &Bench, tool: &dyn Tool) -> anyhow::Result<Vec<Measurement>> {
    [Protocol::KeepAlive, Protocol::Close, Protocol::Http2]
        .into_iter()
        .map(|protocol| under_load(bench, tool, protocol))
        .collect()
}

fn under_load(bench: &Bench, tool: &dyn Tool, protocol: Protocol) -> anyhow::Result<Measurement> {
    let mut serving = bench.serve(tool, START)?;
    let load = Load {
        address: serving.place.address,
        protocol,
        connections: if protocol == Protocol::Http2 { 10 } else { 50 },
        rate: 4000,
    };
    let load = load.start()?;
    sleep(Duration::from_millis(500));
    let start = Instant::now();
    let mut complaints = 0;
    for number in 1..=bench.reloads {
        sleep((start + PACE * number).saturating_duration_since(Instant::now()));
        serving.publish(&format!("v{number}"), Kind::Good)?;
        complaints += u64::from(serving.reload().is_err());
    }
    sleep(START + PACE);
    let report = load.finish()?;
    let kinds = report.kinds();
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    Ok(Measurement::of(protocol.name())
        .count("requests", report.requests)
        .count("failed", report.failed())
        .count("closed", report.closed)
        .count("reloads seen", report.versions.len() as u64)
        .count("reloads that failed", complaints)
        .time("slowest ms", report.slowest())
        .time("p50 ms", report.quantile(0.5))
        .time("p99.9 ms", report.quantile(0.999))
        .time("silence ms", report.silence)
        .word("kinds", kinds.join(", ")))
}
