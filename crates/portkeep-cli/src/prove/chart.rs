//! Latency over time, with the reloads and the failures. Pure: samples in, columns out; `svg` and `terminal` draw them.

mod svg;
mod terminal;

use std::time::Duration;

use super::reloads::Reload;
use super::sample::Sample;
use super::statistics::milliseconds;

/// Columns of the finer picture; the coarser one merges them.
const COLUMNS: usize = 360;

/// What happened in one span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Column {
    /// Milliseconds; none where nothing was answered.
    pub(crate) median: Option<f64>,
    pub(crate) slowest: Option<f64>,
    pub(crate) failed: u64,
}

/// The data of a picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    pub(crate) lasted: Duration,
    pub(crate) columns: Vec<Column>,
    /// Start and end of the reloads, as parts of the whole.
    pub(crate) reloads: Vec<(f64, f64)>,
}

impl Chart {
    pub(crate) fn new(samples: &[Sample], reloads: &[Reload], lasted: Duration) -> Self {
        let whole = lasted.as_secs_f64().max(f64::MIN_POSITIVE);
        let part = |at: Duration| (at.as_secs_f64() / whole).clamp(0.0, 1.0);
        let mut took: Vec<Vec<f64>> = vec![Vec::new(); COLUMNS];
        let mut columns = vec![Column::default(); COLUMNS];
        for sample in samples {
            let index = ((part(sample.start) * COLUMNS as f64) as usize).min(COLUMNS - 1);
            match sample.outcome {
                Ok(_) => took[index].push(milliseconds(sample.took)),
                Err(_) => columns[index].failed += 1,
            }
        }
        for (column, mut took) in columns.iter_mut().zip(took) {
            took.sort_unstable_by(f64::total_cmp);
            column.median = took.get(took.len() / 2).copied();
            column.slowest = took.last().copied();
        }
        Self {
            lasted,
            columns,
            reloads: reloads
                .iter()
                .map(|reload| (part(reload.start), part(reload.end)))
                .collect(),
        }
    }

    /// The picture as an SVG file.
    pub(crate) fn svg(&self, title: &str) -> String {
        svg::draw(self, title)
    }

    /// The picture in characters.
    pub(crate) fn terminal(&self) -> Vec<String> {
        terminal::draw(self)
    }

    /// Powers of ten that enclose all that was measured.
    fn bounds(&self) -> (f64, f64) {
        let all = || {
            self.columns
                .iter()
                .flat_map(|column| [column.median, column.slowest])
                .flatten()
        };
        let least = all().fold(f64::INFINITY, f64::min).clamp(0.01, 1e5);
        let most = all().fold(0.0, f64::max).clamp(least, 1e6);
        let low = 10_f64.powf(least.log10().floor());
        let high = 10_f64.powf(most.log10().ceil());
        (low, high.max(low * 10.0))
    }
}

/// Where a value stands between two bounds, logarithmically: 0 to 1.
fn height(value: f64, (low, high): (f64, f64)) -> f64 {
    ((value / low).log10() / (high / low).log10()).clamp(0.0, 1.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::failure::Failure;
    use super::*;

    pub(super) fn chart() -> Chart {
        let sample = |second: u64, took, outcome| Sample {
            start: Duration::from_secs(second),
            took: Duration::from_micros(took),
            outcome,
        };
        let samples: Vec<_> = (0..10)
            .map(|second| match second {
                5 => sample(second, 1, Err(Failure::Refused)),
                6 => sample(second, 900_000, Ok(None)),
                _ => sample(second, 500, Ok(None)),
            })
            .collect();
        let reload = Reload {
            start: Duration::from_secs(5),
            end: Duration::from_secs(6),
            failure: None,
        };
        Chart::new(&samples, &[reload], Duration::from_secs(10))
    }

    #[test]
    fn what_happened_is_put_where_it_happened() {
        let chart = chart();
        let at = |second: usize| chart.columns[second * COLUMNS / 10];
        assert_eq!(
            at(5),
            Column {
                failed: 1,
                ..Column::default()
            }
        );
        assert_eq!(at(6).slowest, Some(900.0));
        assert_eq!(at(0).median, Some(0.5));
        assert_eq!(chart.reloads, [(0.5, 0.6)]);
        assert_eq!(chart.bounds(), (0.1, 1000.0));
        assert!((height(10.0, (0.1, 1000.0)) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn nothing_measured_is_no_fault() {
        let empty = Chart::new(&[], &[], Duration::ZERO);
        assert!(empty.svg("t").contains("</svg>"));
        assert!(!empty.terminal().is_empty());
    }
}
