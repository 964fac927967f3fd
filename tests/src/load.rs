//! Load by `oha`: fifty connections at thousands of requests a second.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

/// What is sent.
#[derive(Clone, Debug)]
pub struct Load {
    address: SocketAddr,
    duration: Duration,
    connections: Connections,
    count: u32,
    rate: u32,
}

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// Many requests on each.
    KeepAlive,
    /// A new one for each request.
    OnePerRequest,
}

/// A load generator at work.
#[derive(Debug)]
pub struct RunningLoad {
    child: Child,
}

/// What the load generator saw.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct LoadReport {
    /// All requests.
    pub requests: u64,
    /// Those without an answer of status 200.
    pub failed: u64,
    /// The longest.
    pub slowest: Duration,
    /// The median.
    pub median: Duration,
    /// Why requests failed, as the load generator tells it.
    pub errors: Vec<String>,
}

impl Load {
    /// 50 connections, 4000 requests a second.
    #[must_use]
    pub fn new(address: SocketAddr, duration: Duration, connections: Connections) -> Self {
        Self {
            address,
            duration,
            connections,
            count: 50,
            rate: 4000,
        }
    }

    /// Another rate, in requests a second.
    #[must_use]
    pub fn rate(mut self, rate: u32) -> Self {
        self.rate = rate;
        self
    }

    /// Starts the load generator.
    #[must_use]
    pub fn start(&self) -> RunningLoad {
        let mut command = Command::new("oha");
        command.args(["--no-tui", "--output-format", "json"]);
        // Otherwise the requests under way at the end count as failed.
        command.arg("--wait-ongoing-requests-after-deadline");
        command
            .arg("-z")
            .arg(format!("{}ms", self.duration.as_millis()));
        command.arg("-c").arg(self.count.to_string());
        command.arg("-q").arg(self.rate.to_string());
        if self.connections == Connections::OnePerRequest {
            command.arg("--disable-keepalive");
        }
        command.arg(format!("http://{}/", self.address));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start oha (tests/run installs it): {error}"));
        RunningLoad { child }
    }
}

impl RunningLoad {
    /// Whether it still sends.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn finish(mut self) -> LoadReport {
        let mut json = String::new();
        let stdout = self.child.stdout.as_mut().expect("its output is piped");
        stdout
            .read_to_string(&mut json)
            .expect("oha's report is text");
        LoadReport::parse(&json)
            .unwrap_or_else(|error| panic!("oha's report cannot be read: {error}\n{json}"))
    }
}

impl Drop for RunningLoad {
    fn drop(&mut self) {
        // A failing test must not load the next one.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl LoadReport {
    /// Fails the test if a request failed, or fewer than `least` were made.
    #[track_caller]
    pub fn expect_lossless(&self, least: u64) {
        assert!(self.requests >= least, "too few requests: {self:?}");
        assert_eq!(self.failed, 0, "requests failed: {self:?}");
    }

    fn parse(json: &str) -> serde_json::Result<Self> {
        let raw: Raw = serde_json::from_str(json)?;
        let count = |map: &Distribution| map.values().sum::<u64>();
        let requests = count(&raw.statuses) + count(&raw.errors);
        let seconds = |value: Option<f64>| Duration::from_secs_f64(value.unwrap_or_default());
        Ok(Self {
            requests,
            failed: requests - raw.statuses.get("200").copied().unwrap_or_default(),
            slowest: seconds(raw.summary.slowest),
            median: seconds(raw.percentiles.p50),
            errors: raw
                .errors
                .iter()
                .map(|(error, count)| format!("{count} × {error}"))
                .collect(),
        })
    }
}

type Distribution = std::collections::BTreeMap<String, u64>;

#[derive(Deserialize)]
struct Raw {
    summary: Summary,
    #[serde(rename = "latencyPercentiles")]
    percentiles: Percentiles,
    #[serde(rename = "statusCodeDistribution")]
    statuses: Distribution,
    #[serde(rename = "errorDistribution")]
    errors: Distribution,
}

#[derive(Deserialize)]
struct Summary {
    slowest: Option<f64>,
}

#[derive(Deserialize)]
struct Percentiles {
    p50: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_counts_other_statuses_and_errors_as_failed() {
        let report = LoadReport::parse(
            r#"{"summary":{"slowest":0.25},"latencyPercentiles":{"p50":0.001},
                "statusCodeDistribution":{"200":90,"503":6},
                "errorDistribution":{"Connection refused (os error 111)":4}}"#,
        )
        .unwrap();
        assert_eq!((report.requests, report.failed), (100, 10));
        assert_eq!(report.slowest, Duration::from_millis(250));
        assert_eq!(report.errors, ["4 × Connection refused (os error 111)"]);
    }

    #[test]
    fn a_run_without_any_answer_has_no_percentiles() {
        let report = LoadReport::parse(
            r#"{"summary":{"slowest":null},"latencyPercentiles":{"p50":null},
                "statusCodeDistribution":{},"errorDistribution":{"x":3}}"#,
        )
        .unwrap();
        assert_eq!((report.requests, report.failed), (3, 3));
    }
}
