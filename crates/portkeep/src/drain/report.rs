//! Report of a finished drain, in words and numbers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Shared;
use crate::limits::Ended;

/// Cut connections, by their state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut<N = u64> {
    /// Accepted, without a request.
    pub(crate) silent: N,
    /// HTTP/1, between requests.
    pub(crate) idle: N,
    /// HTTP/1, with an unfinished request.
    pub(crate) busy: N,
    /// HTTP/2, with at least one open stream, or a client that ignores GOAWAY.
    pub(crate) http2: N,
    /// Upgraded, such as WebSockets.
    pub(crate) upgraded: N,
}

/// A finished drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) took: Duration,
    pub(crate) answered: u64,
    pub(crate) moved: u64,
    /// WebSockets among them.
    pub(crate) handed_over: u64,
    pub(crate) idle_closed: u64,
    pub(crate) cut: Cut,
    /// Since the start.
    pub(crate) answered_in_all: u64,
    /// Including the time before the drain.
    pub(crate) ended: Ended<u64>,
}

/// The number of requests since the start, as `portkeep metrics` reads it in the status.
pub(crate) fn answered_in_all(requests: u64) -> String {
    format!("{requests} answered in all")
}

/// The number of WebSockets that continue in the next generation, if there are any.
pub(crate) fn handed_over(websockets: u64) -> Option<String> {
    (websockets > 0).then(|| format!("{websockets} WebSockets handed over"))
}

impl Cut {
    pub(crate) fn total(&self) -> u64 {
        self.silent + self.idle + self.busy + self.http2 + self.upgraded
    }
}

impl Report {
    pub(super) fn new(shared: &Shared, took: Duration) -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &shared.counts;
        Self {
            took,
            answered: read(&counts.answered),
            moved: read(&counts.moved),
            handed_over: read(&counts.handed_over),
            idle_closed: read(&counts.idle_closed),
            cut: Cut {
                silent: read(&counts.cut.silent),
                idle: read(&counts.cut.idle),
                busy: read(&counts.cut.busy),
                http2: read(&counts.cut.http2),
                upgraded: read(&counts.cut.upgraded),
            },
            answered_in_all: shared.requests.ended(),
            ended: counts.ended.now(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "drained in {:.1?}: {} answered, {} moved, {} idle closed",
            self.took, self.answered, self.moved, self.idle_closed
        )?;
        let cut = &self.cut;
        if cut.total() == 0 {
            f.write_str(", nothing cut")?;
        } else {
            write!(f, ", cut {}:", cut.total())?;
        }
        for (count, what) in [
            (cut.busy, "busy"),
            (cut.upgraded, "upgraded"),
            (cut.http2, "HTTP/2"),
            (cut.silent, "silent"),
            (cut.idle, "idle"),
        ] {
            if count > 0 {
                write!(f, " {count} {what}")?;
            }
        }
        write!(f, "; {}", answered_in_all(self.answered_in_all))?;
        if let Some(handed_over) = handed_over(self.handed_over) {
            write!(f, "; {handed_over}")?;
        }
        if self.ended.total() > 0 {
            write!(f, "; {}", self.ended)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Reason;

    #[test]
    fn in_words() {
        let mut report = Report {
            took: Duration::from_millis(1234),
            answered: 7,
            moved: 50,
            handed_over: 0,
            idle_closed: 2,
            cut: Cut::default(),
            answered_in_all: 1234,
            ended: Ended::default().now(),
        };
        assert_eq!(
            report.to_string(),
            "drained in 1.2s: 7 answered, 50 moved, 2 idle closed, nothing cut; 1234 answered in all"
        );
        report.cut.busy = 1;
        report.cut.upgraded = 3;
        assert_eq!(
            report.to_string(),
            "drained in 1.2s: 7 answered, 50 moved, 2 idle closed, cut 4: 1 busy 3 upgraded; 1234 answered in all"
        );
        report.handed_over = 20;
        assert_eq!(
            report.to_string(),
            "drained in 1.2s: 7 answered, 50 moved, 2 idle closed, cut 4: 1 busy 3 upgraded; 1234 answered in all; \
             20 WebSockets handed over"
        );
        report.handed_over = 0;
        let ended = Ended::default();
        ended.count(Reason::Idle);
        report.ended = ended.now();
        assert!(
            report.to_string().ends_with(
                "cut 4: 1 busy 3 upgraded; 1234 answered in all; limits ended 1: 1 idle"
            )
        );
    }
}
