//! The load generators.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::server::Kind;

const CONNECTIONS: &str = "50";

#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// wrk: many requests on each connection.
    KeepAlive,
    /// oha: a connection for each request.
    Close,
    /// oha: ten requests at a time on each connection.
    Http2,
}

/// What came of one run.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) requests: f64,
    pub(crate) failed: u64,
    /// A second.
    pub(crate) rate: f64,
    pub(crate) p99: Duration,
    /// What the server used for all of them.
    pub(crate) processor: Duration,
}

impl Load {
    pub(crate) const ALL: [Self; 3] = [Self::KeepAlive, Self::Close, Self::Http2];

    /// Those that are compared; the last one with all others.
    pub(crate) fn servers(self) -> &'static [Kind] {
        match self {
            Self::KeepAlive => &[Kind::Portkeep, Kind::Unlimited, Kind::Axum],
            Self::Close => &[Kind::Portkeep, Kind::Axum],
            Self::Http2 => &[Kind::Portkeep, Kind::Still, Kind::Axum],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "wrk, keep-alive",
            Self::Close => "oha, a connection each",
            Self::Http2 => "oha, HTTP/2",
        }
    }

    pub(crate) fn run(self, address: SocketAddr, time: Duration) -> Sample {
        let seconds = format!("{}s", time.as_secs());
        let url = format!("http://{address}/");
        let (program, arguments) = match self {
            Self::KeepAlive => {
                let arguments = ["-t1", "-c", CONNECTIONS, "-d", &seconds, "--latency", &url];
                ("wrk", arguments.map(str::to_owned).to_vec())
            }
            Self::Close | Self::Http2 => {
                let fixed = ["--no-tui", "--output-format", "json"];
                let wait = "--wait-ongoing-requests-after-deadline";
                let kind = match self {
                    Self::Http2 => &["--http2", "-p", "10"][..],
                    Self::KeepAlive | Self::Close => &["--disable-keepalive"],
                };
                let fixed = fixed.iter().chain([&wait]).chain(kind);
                let rest = ["-c", CONNECTIONS, "-z", &seconds, &url];
                let all = fixed.copied().chain(rest).map(str::to_owned);
                ("oha", all.collect())
            }
        };
        let output = Command::new(program)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let text = String::from_utf8(output.stdout).unwrap();
        let sample = match self {
            Self::KeepAlive => of_wrk(&text),
            Self::Close | Self::Http2 => of_oha(&text),
        };
        sample.unwrap_or_else(|| panic!("what {program} said cannot be read:\n{text}"))
    }
}

fn of_wrk(text: &str) -> Option<Sample> {
    let after = |label: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(label))
    };
    let requests = text.lines().find(|line| line.contains("requests in"))?;
    // Only there if there were some.
    let failed = ["Socket errors:", "Non-2xx"].map(|label| u64::from(after(label).is_some()));
    Some(Sample {
        requests: requests.split_whitespace().next()?.parse().ok()?,
        failed: failed.iter().sum(),
        rate: after("Requests/sec:")?.trim().parse().ok()?,
        p99: duration(after("99%")?.trim())?,
        processor: Duration::ZERO,
    })
}

/// As wrk writes it: `1.23ms`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let factor = match &text[unit..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(
        text[..unit].parse::<f64>().ok()? * factor,
    ))
}

fn of_oha(text: &str) -> Option<Sample> {
    let report: Value = serde_json::from_str(text).ok()?;
    let sum = |field: &str| {
        let counts = report[field].as_object()?.values();
        Some(counts.filter_map(Value::as_u64).sum::<u64>())
    };
    let answered = report["statusCodeDistribution"]["200"].as_u64()?;
    let all = sum("statusCodeDistribution")? + sum("errorDistribution")?;
    Some(Sample {
        requests: answered as f64,
        failed: all - answered,
        rate: report["summary"]["requestsPerSec"].as_f64()?,
        p99: Duration::from_secs_f64(report["latencyPercentiles"]["p99"].as_f64()?),
        processor: Duration::ZERO,
    })
}
