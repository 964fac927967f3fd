//! Means, side by side.

use std::fmt;

use crate::load::{Load, Sample};
use crate::server::Kind;

pub(crate) const HEAD: &str = "\
| load | server | | portkeep | `axum::serve` | ratio | ratios of single rounds |
|---|---|---|---|---|---|---|";

/// One load, both servers.
pub(crate) struct Row<'a> {
    load: Load,
    kind: Kind,
    /// Of portkeep, and of axum.
    samples: [&'a [Sample]; 2],
}

impl<'a> Row<'a> {
    pub(crate) fn new(load: Load, kind: Kind, samples: [&'a Vec<Sample>; 2]) -> Self {
        let samples = samples.map(Vec::as_slice);
        Self {
            load,
            kind,
            samples,
        }
    }

    fn line(
        &self,
        f: &mut fmt::Formatter<'_>,
        what: &str,
        digits: usize,
        value: impl Fn(&Sample) -> f64,
    ) -> fmt::Result {
        let [portkeep, axum] = self
            .samples
            .map(|all| all.iter().map(&value).collect::<Vec<_>>());
        let ratios: Vec<_> = portkeep.iter().zip(&axum).map(|(a, b)| a / b).collect();
        let (ours, theirs) = (mean(&portkeep), mean(&axum));
        write!(
            f,
            "| {} | {} | {what} | {ours:.digits$} | {theirs:.digits$} | {:.3} ± {:.3} | {:.3} ({:.3} to {:.3}) |",
            self.load.name(),
            self.kind.title(),
            ours / theirs,
            error(&ratios),
            quantile(&ratios, 50),
            quantile(&ratios, 0),
            quantile(&ratios, 100),
        )
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line(f, "requests/s", 0, |sample| sample.rate)?;
        writeln!(f)?;
        self.line(f, "p99, ms", 2, |sample| sample.p99.as_secs_f64() * 1e3)?;
        writeln!(f)?;
        self.line(f, "server's processor time, µs a request", 2, |sample| {
            sample.processor.as_secs_f64() * 1e6 / sample.requests
        })
    }
}

/// Not the median: where servers and load share the processors, a round has one of two speeds, and the median jumps
/// from one to the other.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard error of their mean.
fn error(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let count = values.len() as f64;
    (squares / (count - 1.0) / count).sqrt()
}

/// The one that `percent` of all do not exceed.
fn quantile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) * percent).div_ceil(100)]
}
