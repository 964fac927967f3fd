//! Row 3: a release that panics at start, and one that crashes after it began to serve.

use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Measure, Row};
use crate::client::{Load, Protocol};
use crate::place::Kind;
use crate::results::Measurement;
use crate::serving::Bench;
use crate::tool::Tool;

pub(super) const ROW: Row = Row {
    number: 3,
    title: "A bad release",
    explained: "500 requests a second, each on a connection of its own, while a release is reloaded that panics at start, or one that \
                aborts 0.5 s after it began to serve, again and again. After 8 s a good release is reloaded.",
    charts: &[
        ("panics at start", "failed"),
        ("crashes after READY", "failed"),
    ],
    columns: &[
        ("failed", "failed requests"),
        ("kinds", "of which"),
        ("slowest ms", "slowest, ms"),
        ("silence ms", "longest without any answer, ms"),
        ("port", "port after 8 s"),
        ("good ms", "good release answers after, ms"),
        ("told", "the reload said"),
    ],
    rounds: 1,
    takes: Duration::from_secs(24),
    measure: Measure::Each(measure),
};

const START: Duration = Duration::from_millis(300);
const SUFFERS: Duration = Duration::from_secs(8);
const RECOVERS: Duration = Duration::from_secs(10);

fn measure(bench: &Bench, tool: &dyn Tool) -> anyhow::Result<Vec<Measurement>> {
    let mut kinds = vec![(Kind::Panics, "panics at start")];
    // What has no app cannot crash either.
    if tool.runs_the_app() {
        kinds.push((Kind::Crashes, "crashes after READY"));
    }
    kinds
        .into_iter()
        .map(|(kind, case)| suffer(bench, tool, kind, case))
        .collect()
}

fn suffer(bench: &Bench, tool: &dyn Tool, kind: Kind, case: &str) -> anyhow::Result<Measurement> {
    let mut serving = bench.serve(tool, START)?;
    let load = Load {
        address: serving.place.address,
        protocol: Protocol::Close,
        tls: None,
        connections: 50,
        rate: 500,
    };
    let load = load.start()?;
    sleep(Duration::from_millis(500));
    serving.publish("bad", kind)?;
    let told = serving.reload();
    sleep(SUFFERS);
    let open = TcpStream::connect_timeout(&serving.place.address, Duration::from_secs(1)).is_ok();
    let published = Instant::now();
    serving.publish("good", Kind::Good)?;
    // Whether it helped is seen in what follows.
    let _ = serving.reload();
    let recovered = serving.wait_for("good", RECOVERS).map(drop);
    let after = published.elapsed();
    let report = load.finish()?;
    let kinds = report.kinds();
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let measured = Measurement::of(case)
        .count("requests", report.requests)
        .count("failed", report.failed())
        .time("slowest ms", report.slowest())
        .time("silence ms", report.silence)
        .word("kinds", kinds.join(", "))
        .word("port", if open { "open" } else { "closed" })
        .word(
            "told",
            if told.is_ok() {
                "nothing"
            } else {
                "that it failed"
            },
        );
    Ok(match recovered {
        Ok(()) => measured.time("good ms", after),
        Err(_) => measured.word("good ms", "never"),
    })
}
