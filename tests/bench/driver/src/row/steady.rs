//! Row 8: with no reload, as fast as it goes.

use std::time::Duration;

use anyhow::Context;

use super::{Measure, Row};
use crate::processes::run;
use crate::results::Measurement;
use crate::serving::Bench;
use crate::tool::Tool;

pub(super) const ROW: Row = Row {
    number: 8,
    title: "With no reload",
    explained: "oha, 50 connections, as fast as it goes, on the same two processors as the app.",
    charts: &[("keep-alive", "requests/s")],
    columns: &[
        ("requests/s", "requests/s"),
        ("p50 ms", "p50, ms"),
        ("p99 ms", "p99, ms"),
        ("failed", "failed"),
    ],
    rounds: 3,
    takes: Duration::from_secs(8),
    measure: Measure::Each(measure),
};

fn measure(bench: &Bench, tool: &dyn Tool) -> anyhow::Result<Vec<Measurement>> {
    let serving = bench.serve(tool, Duration::ZERO)?;
    let url = format!("http://{}/", serving.place.address);
    let time = if bench.quick { "2s" } else { "6s" };
    let options = [
        "oha",
        "--no-tui",
        "--output-format",
        "json",
        "--wait-ongoing-requests-after-deadline",
    ];
    // A tool whose queue is full leaves connections waiting for minutes.
    let words = ["timeout", "40"]
        .into_iter()
        .chain(options)
        .chain(["-t", "15s", "-z", time, "-c", "50", &url]);
    let told: serde_json::Value = serde_json::from_str(&run(words)?).context("oha's report")?;
    let number = |pointer: &str| told.pointer(pointer).and_then(serde_json::Value::as_f64);
    let ok = number("/statusCodeDistribution/200").unwrap_or_default();
    let all: f64 = ["/statusCodeDistribution", "/errorDistribution"]
        .into_iter()
        .filter_map(|pointer| told.pointer(pointer)?.as_object())
        .flat_map(|counts| counts.values().filter_map(serde_json::Value::as_f64))
        .sum();
    Ok(vec![
        Measurement::of("keep-alive")
            .value(
                "requests/s",
                number("/summary/requestsPerSec").context("no rate")?,
            )
            .value(
                "p50 ms",
                number("/latencyPercentiles/p50").context("no median")? * 1000.0,
            )
            .value(
                "p99 ms",
                number("/latencyPercentiles/p99").context("no p99")? * 1000.0,
            )
            .value("failed", all - ok),
    ])
}
