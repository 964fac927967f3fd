//! Row 1: what clients lose while versions change.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Measure, Row};
use crate::client::{Load, Protocol};
use crate::place::Kind;
use crate::results::Measurement;
use crate::serving::Bench;
use crate::tool::Tool;

pub(super) const ROW: Row = Row {
    number: 1,
    title: "Reloads under load",
    explained: "4,000 requests a second on 50 connections (HTTP/2: 10) at fixed times, without any retry; the app needs 0.3 s to start; \
                each reload follows as soon as the version before has answered (50 ms later), or 4 s later if it does not; after \
                five in a row that never came the rest are left out. A request is failed if it got no answer with status 200; a connection is closed if the server \
                ended it under the client. The slowest counts from the moment at which the request was due. Over TLS only portkeep's \
                app is measured, on portkeep-s2n.",
    charts: &[
        ("keep-alive", "failed"),
        ("keep-alive", "closed"),
        ("close", "failed"),
        ("http2", "failed"),
    ],
    columns: &[
        ("failed", "failed requests"),
        ("kinds", "of which"),
        ("closed", "connections closed"),
        ("slowest ms", "slowest, ms"),
        ("p99.9 ms", "p99.9, ms"),
        ("silence ms", "longest without any answer, ms"),
        ("reloads", "reloads"),
        ("never", "of which never came"),
        ("requests", "requests"),
    ],
    rounds: 1,
    takes: Duration::from_secs(150),
    measure: Measure::Each(measure),
};

const START: Duration = Duration::from_millis(300);
/// Between the first answer of a version and the next reload.
const PAUSE: Duration = Duration::from_millis(50);
/// Somebody asks for the version so often, beside the load.
const ASKED: Duration = Duration::from_millis(10);
/// For a version to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// Versions in a row that never came, after which nothing more is expected of a tool.
const ENOUGH: u32 = 5;
/// A tool that is slower than any that is known reloads less often.
const LONGEST: Duration = Duration::from_secs(60);

fn measure(bench: &Bench, tool: &dyn Tool) -> anyhow::Result<Vec<Measurement>> {
    let tls = tool.serves_tls().then_some(Protocol::Tls);
    [Protocol::KeepAlive, Protocol::Close, Protocol::Http2]
        .into_iter()
        .chain(tls)
        .map(|protocol| under_load(bench, tool, protocol))
        .collect()
}

fn under_load(bench: &Bench, tool: &dyn Tool, protocol: Protocol) -> anyhow::Result<Measurement> {
    let mut serving = match protocol {
        Protocol::Tls => bench.serve_tls(tool, START)?,
        _ => bench.serve(tool, START)?,
    };
    let load = Load {
        address: serving.place.address,
        protocol,
        tls: serving.place.tls.clone(),
        connections: if protocol == Protocol::Http2 { 10 } else { 50 },
        rate: 4000,
    };
    let load = load.start()?;
    sleep(Duration::from_millis(500));
    let start = Instant::now();
    let (mut made, mut complaints, mut never, mut in_a_row) = (0, 0, 0, 0);
    while made < bench.reloads && in_a_row < ENOUGH && start.elapsed() < LONGEST {
        made += 1;
        let version = format!("v{made}");
        serving.publish(&version, Kind::Good)?;
        complaints += u64::from(serving.reload().is_err());
        if serving.wait_asking(&version, PATIENCE, ASKED).is_ok() {
            in_a_row = 0;
        } else {
            never += 1;
            in_a_row += 1;
        }
        sleep(PAUSE);
    }
    sleep(START);
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
        .count("reloads", u64::from(made))
        .count("never", never)
        .count("versions", report.versions.len() as u64)
        .count("reloads that failed", complaints)
        .time("slowest ms", report.slowest())
        .time("p50 ms", report.quantile(0.5))
        .time("p99.9 ms", report.quantile(0.999))
        .time("silence ms", report.silence)
        .word("kinds", kinds.join(", ")))
}
