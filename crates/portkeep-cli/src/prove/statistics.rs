//! Statistics over the observations of all clients. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
use super::reloads::Reload;
use super::sample::Sample;

/// How long answers took, in milliseconds; none where there were none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Latency {
    /// Answers.
    pub(crate) count: u64,
    pub(crate) p50_milliseconds: f64,
    pub(crate) p99_milliseconds: f64,
    pub(crate) p999_milliseconds: f64,
    pub(crate) slowest_milliseconds: f64,
}

/// The same, by when requests were due.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Latencies {
    pub(crate) all: Option<Latency>,
    /// Before the first reload.
    pub(crate) before: Option<Latency>,
    /// From the start of a reload until its command had ended, and the settling time after that.
    pub(crate) during: Option<Latency>,
    /// After the first reload, and not during one.
    pub(crate) after: Option<Latency>,
}

/// A version that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    pub(crate) version: String,
    pub(crate) answers: u64,
}

/// Of answers' durations, which need not be sorted.
pub(crate) fn latency(mut took: Vec<Duration>) -> Option<Latency> {
    took.sort_unstable();
    let slowest = *took.last()?;
    // The smallest that is not exceeded by more than the rest of 1000.
    let at = |per_mille: usize| took[(took.len() * per_mille).div_ceil(1000).saturating_sub(1)];
    Some(Latency {
        count: took.len() as u64,
        p50_milliseconds: milliseconds(at(500)),
        p99_milliseconds: milliseconds(at(990)),
        p999_milliseconds: milliseconds(at(999)),
        slowest_milliseconds: milliseconds(slowest),
    })
}

pub(crate) fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// By when requests were due.
pub(crate) fn latencies(samples: &[Sample], reloads: &[Reload], settle: Duration) -> Latencies {
    let first = reloads.first().map_or(Duration::MAX, |reload| reload.start);
    let is_during = |at: Duration| {
        let mut windows = reloads.iter();
        windows.any(|reload| (reload.start..=reload.end + settle).contains(&at))
    };
    let of = |wanted: &dyn Fn(Duration) -> bool| {
        let answered = samples.iter().filter(|sample| sample.outcome.is_ok());
        latency(
            answered
                .filter(|sample| wanted(sample.start))
                .map(|sample| sample.took)
                .collect(),
        )
    };
    Latencies {
        all: of(&|_| true),
        before: of(&|at| at < first),
        during: of(&is_during),
        after: of(&|at| at >= first && !is_during(at)),
    }
}

/// How often requests failed in each way.
pub(crate) fn failures(samples: &[Sample]) -> BTreeMap<Failure, u64> {
    let mut failures = BTreeMap::new();
    for failure in samples.iter().filter_map(|sample| sample.outcome.err()) {
        *failures.entry(failure).or_default() += 1;
    }
    failures
}

/// The longest time in which no answer came, up to the end of the run.
pub(crate) fn longest_silence(samples: &[Sample], end: Duration) -> Duration {
    let answered = samples.iter().filter(|sample| sample.outcome.is_ok());
    let mut answers: Vec<Duration> = answered.map(Sample::end).collect();
    answers.sort_unstable();
    let ends = answers.iter().copied().chain([end]);
    let begins = [Duration::ZERO].into_iter().chain(answers.iter().copied());
    begins
        .zip(ends)
        .map(|(begin, end)| end.saturating_sub(begin))
        .max()
        .unwrap_or_default()
}

/// The versions in the order of their first answers, and how many requests were answered by a version although a newer one
/// had answered before they were sent.
pub(crate) fn versions(samples: &[Sample], names: &[String]) -> (Vec<Version>, u64) {
    let mut answered: Vec<(&Sample, u16)> = samples
        .iter()
        .filter_map(|sample| Some((sample, sample.outcome.ok()??)))
        .collect();
    answered.sort_by_key(|(sample, _)| sample.end());
    // Number, first answer, answers: in the order of first answers.
    let mut order: Vec<(u16, Duration, u64)> = Vec::new();
    for (sample, version) in &answered {
        match order.iter_mut().find(|(known, ..)| known == version) {
            Some((_, _, count)) => *count += 1,
            None => order.push((*version, sample.end(), 1)),
        }
    }
    let stale = answered.iter().filter(|(sample, version)| {
        let mut newer = order
            .iter()
            .skip_while(|(known, ..)| known != version)
            .skip(1);
        // The first of them answered first.
        newer
            .next()
            .is_some_and(|(_, first, _)| *first < sample.start)
    });
    let stale = stale.count() as u64;
    let named = order.into_iter().map(|(number, _, answers)| Version {
        version: names.get(usize::from(number)).cloned().unwrap_or_default(),
        answers,
    });
    (named.collect(), stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn sample(start: u64, took: u64, outcome: Result<Option<u16>, Failure>) -> Sample {
        Sample {
            start: ms(start),
            took: ms(took),
            outcome,
        }
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let one_to = |count: u64| latency((1..=count).rev().map(ms).collect()).unwrap();
        let thousand = one_to(1000);
        assert_eq!(
            (
                thousand.p50_milliseconds,
                thousand.p99_milliseconds,
                thousand.p999_milliseconds
            ),
            (500.0, 990.0, 999.0)
        );
        assert_eq!(
            (thousand.slowest_milliseconds, thousand.count),
            (1000.0, 1000)
        );
        let one = one_to(1);
        assert_eq!((one.p50_milliseconds, one.p999_milliseconds), (1.0, 1.0));
        assert_eq!(one_to(3).p50_milliseconds, 2.0);
        assert_eq!(latency(Vec::new()), None);
    }

    #[test]
    fn answers_are_put_before_during_and_after_by_when_they_were_due() {
        let reload = |start, end| Reload {
            start: ms(start),
            end: ms(end),
            failure: None,
        };
        let reloads = [reload(100, 150), reload(500, 520)];
        // Due before the first reload, though it ends in it.
        let samples = [
            sample(99, 60, Ok(None)),
            sample(100, 7, Ok(None)),
            sample(249, 8, Ok(None)),
            sample(251, 3, Ok(None)),
            sample(300, 9, Err(Failure::Refused)),
            sample(621, 4, Ok(None)),
        ];
        let found = latencies(&samples, &reloads, ms(100));
        let slowest = |latency: Option<Latency>| {
            latency.map(|latency| (latency.count, latency.slowest_milliseconds))
        };
        assert_eq!(slowest(found.before), Some((1, 60.0)));
        assert_eq!(slowest(found.during), Some((2, 8.0)));
        assert_eq!(slowest(found.after), Some((2, 4.0)));
        assert_eq!(slowest(found.all), Some((5, 60.0)));
        assert_eq!(failures(&samples), [(Failure::Refused, 1)].into());
    }

    #[test]
    fn silence_counts_from_the_begin_to_the_end() {
        let samples = [
            sample(0, 10, Ok(None)),
            sample(20, 15, Ok(None)),
            sample(60, 5, Err(Failure::Reset)),
        ];
        assert_eq!(longest_silence(&samples, ms(50)), ms(25));
        assert_eq!(longest_silence(&samples, ms(100)), ms(65));
        assert_eq!(longest_silence(&[], ms(100)), ms(100));
    }

    #[test]
    fn an_old_answer_after_a_new_one_is_stale_only_if_it_was_asked_for_later() {
        let names = ["v2".to_owned(), "v1".to_owned()];
        let samples = [
            sample(0, 1, Ok(Some(1))),
            // Sent before v2 had answered: the old version finishes what it has.
            sample(5, 50, Ok(Some(1))),
            sample(8, 2, Ok(Some(0))),
            sample(20, 1, Ok(Some(1))),
            sample(30, 1, Ok(Some(0))),
            sample(31, 1, Ok(None)),
        ];
        let (versions, stale) = versions(&samples, &names);
        let shown: Vec<_> = versions
            .iter()
            .map(|one| (one.version.as_str(), one.answers))
            .collect();
        assert_eq!(shown, [("v1", 3), ("v2", 2)]);
        assert_eq!(stale, 1);
    }
}
