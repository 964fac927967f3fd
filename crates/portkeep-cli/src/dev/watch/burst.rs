//! Changes that belong together. Pure.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

/// Whoever writes in several steps makes no longer pause between two of them.
const QUIET: Duration = Duration::from_millis(3);
/// Whoever writes all the time is not waited for.
const LONGEST: Duration = Duration::from_millis(10);

/// An editor writes a file in several steps, and a checkout many files: one build is for all of them.
#[derive(Debug)]
pub(super) struct Burst {
    first: Instant,
    last: Instant,
    paths: Vec<PathBuf>,
    known: HashSet<PathBuf>,
}

impl Burst {
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            first: now,
            last: now,
            paths: Vec::new(),
            known: HashSet::new(),
        }
    }

    pub(super) fn add(&mut self, paths: Vec<PathBuf>, now: Instant) {
        self.last = now;
        for path in paths {
            if self.known.insert(path.clone()) {
                self.paths.push(path);
            }
        }
    }

    /// When it is over, unless something is added.
    pub(super) fn end(&self) -> Instant {
        (self.last + QUIET).min(self.first + LONGEST)
    }

    /// What changed, in the order in which it did.
    pub(super) fn into_paths(self) -> Vec<PathBuf> {
        self.paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_over_soon_after_its_last_change_and_does_not_go_on_for_ever() {
        let at = |milliseconds| Duration::from_millis(milliseconds);
        let begun = Instant::now();
        let mut burst = Burst::begin(begun);
        burst.add(vec!["b".into()], begun);
        assert_eq!(burst.end(), begun + at(3));
        burst.add(vec!["a".into(), "b".into()], begun + at(2));
        assert_eq!(burst.end(), begun + at(5));
        burst.add(vec!["b".into()], begun + at(9));
        assert_eq!(burst.end(), begun + at(10));
        assert_eq!(burst.into_paths(), [PathBuf::from("b"), PathBuf::from("a")]);
    }
}
