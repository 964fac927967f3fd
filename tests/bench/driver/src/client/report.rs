//! What a client saw.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::connection::{Failure, Sent};

/// What a client saw.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) failures: BTreeMap<Failure, u64>,
    /// Connections that the server ended under the client.
    pub(crate) closed: u64,
    pub(crate) versions: BTreeSet<String>,
    /// The longest time in which no answer came.
    pub(crate) silence: Duration,
    /// In microseconds.
    latencies: Histogram<u64>,
    answers: Vec<Instant>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            requests: 0,
            failures: BTreeMap::new(),
            closed: 0,
            versions: BTreeSet::new(),
            silence: Duration::ZERO,
            // Three digits, any length.
            latencies: Histogram::new(3)
                .unwrap_or_else(|_| unreachable!("three digits are allowed")),
            answers: Vec::new(),
        }
    }
}

impl Report {
    pub(crate) fn record(&mut self, due: Instant, now: Instant, sent: Sent) {
        self.requests += 1;
        match sent.outcome {
            Ok(version) => {
                if !self.versions.contains(&version) {
                    self.versions.insert(version);
                }
                self.answers.push(now);
                // It grows, so that nothing is too long for it.
                let _ = self.latencies.record(micros(now - due));
            }
            Err(failure) => *self.failures.entry(failure).or_default() += 1,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        for (failure, count) in other.failures {
            *self.failures.entry(failure).or_default() += count;
        }
        self.closed += other.closed;
        self.versions.extend(other.versions);
        self.answers.extend(other.answers);
        // Both have three digits and grow.
        let _ = self.latencies.add(other.latencies);
    }

    pub(crate) fn finish(&mut self, start: Instant, end: Instant) {
        self.answers.sort_unstable();
        let moments = std::iter::once(&start)
            .chain(&self.answers)
            .chain(std::iter::once(&end));
        let later = moments.clone().skip(1);
        let silences = moments.zip(later).map(|(from, to)| *to - *from);
        self.silence = silences.max().unwrap_or_default();
        self.answers = Vec::new();
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// By kind, in words.
    pub(crate) fn kinds(&self) -> BTreeMap<String, u64> {
        self.failures
            .iter()
            .map(|(failure, count)| (failure.to_string(), *count))
            .collect()
    }

    pub(crate) fn slowest(&self) -> Duration {
        Duration::from_micros(self.latencies.max())
    }

    /// `0.5` is the median.
    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.latencies.value_at_quantile(quantile))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn a_stall_is_seen_by_all_that_fell_into_it_and_failures_are_counted_by_kind() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut report = Report::default();
        let answered = |version: &str| Sent {
            outcome: Ok(version.to_owned()),
        };
        report.record(at(0), at(1), answered("1"));
        report.record(at(10), at(301), answered("1"));
        report.record(at(20), at(302), answered("2"));
        report.record(at(30), at(303), Sent::failed(Failure::Refused));
        let mut all = Report::default();
        all.add(report);
        all.finish(start, at(310));
        assert_eq!((all.requests, all.failed(), all.versions.len()), (4, 1, 2));
        assert_eq!(all.kinds(), BTreeMap::from([("refused".to_owned(), 1)]));
        assert_eq!(all.silence, Duration::from_millis(300));
        assert!(all.slowest() >= Duration::from_millis(290), "{all:?}");
        assert!(all.quantile(0.5) >= Duration::from_millis(281), "{all:?}");
    }
}
