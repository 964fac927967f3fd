//! Result of a run, in the shape of `portkeep prove --json`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::chart::Chart;
use super::failure::{self, Failure};
use super::plan::{Mode, Plan};
use super::releases::{self, ServedRelease};
use super::reloads::Reload;
use super::sample::{Connections, Observations};
use super::statistics::{self, Latencies, Latency, Version, milliseconds};
use crate::output::{clip, span};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) url: String,
    /// `keep-alive`, `close`, `http2`, `websocket`, `sse`.
    pub(crate) mode: String,
    /// Requests that were due a second.
    pub(crate) rate: u32,
    pub(crate) connections: ConnectionCounts,
    /// How long the load lasted.
    pub(crate) seconds: f64,
    /// Requests that were made: messages of WebSockets, events of streams.
    pub(crate) requests: u64,
    /// Those without a good answer. Nothing was sent twice.
    pub(crate) failed: u64,
    /// The same by kind, all kinds: `refused`, `reset`, `closed`, `timedOut`, `serverError`, `other`.
    pub(crate) failures: BTreeMap<Failure, u64>,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) latency: Latencies,
    /// The longest time in which no answer came.
    pub(crate) longest_silence_milliseconds: f64,
    /// In the order of their first answers; empty where nobody looked.
    pub(crate) versions: Vec<Version>,
    /// Requests that an older version answered although a newer one had answered before they were sent.
    pub(crate) stale_answers: u64,
    pub(crate) reloads: ReloadCounts,
    /// The app's releases that were current, in their order; empty without `--app`.
    pub(crate) releases: Vec<ServedRelease>,
    /// Whether anything was lost: a request, a connection in the middle of something, or a reload.
    pub(crate) lossless: bool,
    #[serde(skip)]
    pub(crate) chart: Chart,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectionCounts {
    /// At a time.
    pub(crate) wanted: u32,
    pub(crate) opened: u64,
    /// The server ended them, in the way of the protocol.
    pub(crate) ended_by_server: u64,
    /// How, and how often.
    pub(crate) ended_how: BTreeMap<String, u64>,
    /// They ended in the middle of something.
    pub(crate) cut: u64,
    /// HTTP/2: requests that went over another connection because theirs said GOAWAY before they were sent.
    pub(crate) moved_by_goaway: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReloadCounts {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    /// What the first one that failed said.
    pub(crate) failure: Option<String>,
    pub(crate) slowest_milliseconds: f64,
}

impl Report {
    pub(crate) fn new(
        plan: &Plan,
        mut seen: Observations,
        reloads: Vec<Reload>,
        releases: Vec<ServedRelease>,
        lasted: Duration,
    ) -> Self {
        seen.samples.sort_by_key(|sample| sample.start);
        let samples = &seen.samples;
        let found = statistics::failures(samples);
        let failures = failure::ALL.map(|kind| (kind, found.get(&kind).copied().unwrap_or(0)));
        let failed = found.values().sum();
        let (versions, stale_answers) = statistics::versions(samples, &seen.versions);
        let failed_reloads = reloads
            .iter()
            .filter(|reload| reload.failure.is_some())
            .count() as u64;
        let slowest = reloads.iter().map(|reload| reload.end - reload.start).max();
        let Connections {
            opened,
            told,
            cut,
            how,
            moved_by_goaway,
        } = seen.connections;
        Self {
            url: plan.target.url.clone(),
            mode: mode_word(plan.mode).to_owned(),
            rate: plan.rate,
            connections: ConnectionCounts {
                wanted: plan.connections,
                opened,
                ended_by_server: told,
                ended_how: how,
                cut,
                moved_by_goaway,
            },
            seconds: lasted.as_secs_f64(),
            requests: samples.len() as u64,
            failed,
            failures: failures.into(),
            statuses: seen.statuses,
            latency: statistics::latencies(samples, &reloads, plan.settle),
            longest_silence_milliseconds: milliseconds(statistics::longest_silence(
                samples, lasted,
            )),
            versions,
            stale_answers,
            releases,
            lossless: failed == 0 && cut == 0 && failed_reloads == 0 && !samples.is_empty(),
            chart: Chart::new(samples, &reloads, lasted),
            reloads: ReloadCounts {
                done: reloads.len() as u64,
                failed: failed_reloads,
                failure: reloads.iter().find_map(|reload| reload.failure.clone()),
                slowest_milliseconds: milliseconds(slowest.unwrap_or_default()),
            },
        }
    }

    /// For people: at most 80 columns.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{} ({}, {} connections, {}/s for {})",
                self.url,
                self.mode,
                self.connections.wanted,
                self.rate,
                span(Duration::from_secs_f64(self.seconds))
            ),
            format!(
                "  requests     {}, {} failed{}",
                self.requests,
                self.failed,
                self.kinds()
            ),
        ];
        let connections = &self.connections;
        let how: Vec<_> = connections
            .ended_how
            .iter()
            .map(|(how, count)| format!("{count} {how}"))
            .collect();
        let how = match how.is_empty() {
            true => String::new(),
            false => format!(" ({})", how.join(", ")),
        };
        lines.push(format!(
            "  connections  {} opened, {} ended by the server{how}, {} cut",
            connections.opened, connections.ended_by_server, connections.cut
        ));
        if connections.moved_by_goaway > 0 {
            lines.push(format!(
                "               {} requests went over another one after GOAWAY",
                connections.moved_by_goaway
            ));
        }
        lines.push(
            "  latency, ms      answers        p50        p99      p99.9    slowest".to_owned(),
        );
        let latency = &self.latency;
        for (name, one) in [
            ("before", &latency.before),
            ("during", &latency.during),
            ("after", &latency.after),
            ("all", &latency.all),
        ] {
            lines.push(row(name, one.as_ref()));
        }
        lines.push(format!(
            "  longest time without an answer: {:.1} ms",
            self.longest_silence_milliseconds
        ));
        if !self.versions.is_empty() {
            lines.push(format!(
                "  versions     {} answered, {} stale answers of an older one",
                self.versions.len(),
                self.stale_answers
            ));
        }
        if !self.releases.is_empty() {
            lines.push(format!("  generations  {}", releases::told(&self.releases)));
        }
        let reloads = &self.reloads;
        lines.push(format!(
            "  reloads      {}, {} failed, the slowest took {:.0} ms",
            reloads.done, reloads.failed, reloads.slowest_milliseconds
        ));
        if let Some(failure) = &reloads.failure {
            lines.push(format!("               {failure}"));
        }
        lines.into_iter().map(|line| clip(&line)).collect()
    }

    fn kinds(&self) -> String {
        let kinds = failure::ALL.into_iter().filter_map(|kind| {
            let count = self
                .failures
                .get(&kind)
                .copied()
                .filter(|count| *count > 0)?;
            Some(format!("{count} {}", kind.words()))
        });
        let kinds: Vec<_> = kinds.collect();
        match kinds.is_empty() {
            true => String::new(),
            false => format!(": {}", kinds.join(", ")),
        }
    }

    /// One sentence.
    pub(crate) fn verdict(&self) -> String {
        if self.lossless {
            return format!("Nothing was lost in {} reloads.", self.reloads.done);
        }
        if self.requests == 0 {
            return "Nothing was sent: this proves nothing.".to_owned();
        }
        let mut lost = Vec::new();
        for (count, what) in [
            (self.failed, "requests"),
            (self.connections.cut, "connections cut"),
            (self.reloads.failed, "reloads failed"),
        ] {
            if count > 0 {
                lost.push(format!("{count} {what}"));
            }
        }
        format!(
            "Lost in {} reloads: {}.",
            self.reloads.done,
            lost.join(", ")
        )
    }
}

fn row(name: &str, latency: Option<&Latency>) -> String {
    match latency {
        None => format!("    {name:<10} {:>9}", 0),
        Some(one) => format!(
            "    {name:<10} {:>9} {:>10.2} {:>10.2} {:>10.2} {:>10.2}",
            one.count,
            one.p50_milliseconds,
            one.p99_milliseconds,
            one.p999_milliseconds,
            one.slowest_milliseconds
        ),
    }
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::KeepAlive => "keep-alive",
        Mode::Close => "close",
        Mode::Http2 => "http2",
        Mode::Websocket => "websocket",
        Mode::Sse => "sse",
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Target, VersionIn};
    use super::super::sample::Sample;
    use super::*;
    use crate::output::COLUMNS;

    fn plan() -> Plan {
        Plan {
            target: Target {
                url: format!("http://127.0.0.1:8080/{}", "x".repeat(90)),
                address: "127.0.0.1:8080".parse().unwrap(),
                authority: "127.0.0.1:8080".to_owned(),
                path: "/".to_owned(),
            },
            mode: Mode::KeepAlive,
            reload: "true".to_owned(),
            times: 1,
            every: Duration::from_secs(1),
            rate: 1000,
            connections: 20,
            timeout: Duration::from_secs(10),
            settle: Duration::from_secs(1),
            version: VersionIn::Nowhere,
            app: None,
        }
    }

    fn report(outcome: Result<Option<u16>, Failure>) -> Report {
        let sample = Sample {
            start: Duration::from_millis(5),
            took: Duration::from_millis(3),
            outcome,
        };
        let seen = Observations {
            samples: vec![sample],
            versions: vec!["v1".to_owned()],
            ..Observations::default()
        };
        let reload = Reload {
            start: Duration::from_millis(4),
            end: Duration::from_millis(24),
            failure: None,
        };
        Report::new(
            &plan(),
            seen,
            vec![reload],
            Vec::new(),
            Duration::from_secs(1),
        )
    }

    #[test]
    fn a_loss_of_any_kind_is_a_loss() {
        assert!(report(Ok(Some(0))).lossless);
        for kind in failure::ALL {
            let report = report(Err(kind));
            assert!(!report.lossless);
            assert_eq!((report.failed, report.failures[&kind]), (1, 1));
            assert!(report.lines().join("\n").contains(kind.words()));
        }
        let mut seen = Observations::default();
        assert!(
            !Report::new(
                &plan(),
                seen,
                Vec::new(),
                Vec::new(),
                Duration::from_secs(1)
            )
            .lossless,
            "nothing was sent"
        );
        seen = Observations::default();
        seen.connections.cut = 1;
        seen.samples = vec![Sample {
            start: Duration::ZERO,
            took: Duration::ZERO,
            outcome: Ok(None),
        }];
        assert!(
            !Report::new(
                &plan(),
                seen,
                Vec::new(),
                Vec::new(),
                Duration::from_secs(1)
            )
            .lossless,
            "a connection was cut"
        );
    }

    #[test]
    fn it_fits_a_terminal() {
        for line in report(Err(Failure::Refused)).lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }

    /// What programs rely on; a field more is no harm, a changed one is.
    #[test]
    fn the_json_is_as_documented() {
        let json = serde_json::to_value(report(Ok(Some(0)))).unwrap();
        let keys: Vec<_> = json
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys.join(" "),
            "connections failed failures latency longestSilenceMilliseconds lossless mode rate releases reloads requests seconds \
             staleAnswers statuses url versions"
        );
        assert_eq!(json["failures"]["timedOut"], 0);
        assert_eq!(json["latency"]["during"]["slowestMilliseconds"], 3.0);
        assert_eq!(json["versions"][0]["version"], "v1");
        assert_eq!(json["connections"]["endedByServer"], 0);
    }
}
