//! Burst: events that belong together. Pure.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use notify::EventKind;
use notify::event::ModifyKind;
use tokio::time::Instant;

/// A program that writes in several steps pauses no longer than this between two of them.
const QUIET: Duration = Duration::from_millis(3);
/// A program that writes all the time is not waited for.
const LONGEST: Duration = Duration::from_millis(10);
/// More files than a person saves at once: their writer will write more.
const MANY: usize = 20;
/// The pause after many files, so that the first part of a checkout is not built alone.
const QUIET_OF_MANY: Duration = Duration::from_millis(20);
const LONGEST_OF_MANY: Duration = Duration::from_millis(300);

/// Whether an event is about a name, or about the file behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    Contents,
    /// A file appeared under this name, or vanished.
    Name,
}

impl Of {
    fn event(kind: EventKind) -> Self {
        match kind {
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => Self::Contents,
            _ => Self::Name,
        }
    }
}

/// An editor writes a file in several steps, and a checkout writes many files: one build is for all of them.
#[derive(Debug)]
pub(super) struct Burst {
    first: Instant,
    last: Instant,
    heard: Vec<(PathBuf, Of)>,
    known: HashMap<PathBuf, usize>,
    is_incomplete: bool,
}

impl Burst {
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            first: now,
            last: now,
            heard: Vec::new(),
            known: HashMap::new(),
            is_incomplete: false,
        }
    }

    pub(super) fn add(&mut self, event: &notify::Event, now: Instant) {
        self.last = now;
        let of = Of::event(event.kind);
        for path in &event.paths {
            if let Some(&at) = self.known.get(path) {
                let before = &mut self.heard[at].1;
                *before = of.max(*before);
            } else {
                self.known.insert(path.clone(), self.heard.len());
                self.heard.push((path.clone(), of));
            }
        }
    }

    /// The kernel dropped events.
    pub(super) fn add_lost(&mut self, now: Instant) {
        self.last = now;
        self.is_incomplete = true;
    }

    pub(super) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// The end of the burst, unless something is added.
    pub(super) fn end(&self) -> Instant {
        let (quiet, longest) = if self.heard.len() < MANY {
            (QUIET, LONGEST)
        } else {
            (QUIET_OF_MANY, LONGEST_OF_MANY)
        };
        (self.last + quiet).min(self.first + longest)
    }

    /// The reported paths, each once, in order.
    pub(super) fn into_heard(self) -> Vec<(PathBuf, Of)> {
        self.heard
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange};

    use super::*;

    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));

    fn event(kind: EventKind, path: &str) -> notify::Event {
        notify::Event::new(kind).add_path(path.into())
    }

    #[test]
    fn a_burst_is_over_soon_after_its_last_change_and_does_not_go_on_for_ever() {
        let at = |milliseconds| Duration::from_millis(milliseconds);
        let begun = Instant::now();
        let mut burst = Burst::begin(begun);
        burst.add(&event(WRITTEN, "b"), begun);
        assert_eq!(burst.end(), begun + at(3));
        burst.add(&event(WRITTEN, "a"), begun + at(2));
        burst.add(
            &event(EventKind::Create(CreateKind::File), "b"),
            begun + at(2),
        );
        assert_eq!(burst.end(), begun + at(5));
        burst.add(&event(WRITTEN, "b"), begun + at(9));
        assert_eq!(burst.end(), begun + at(10));
        let expected = [("b".into(), Of::Name), ("a".into(), Of::Contents)];
        assert_eq!(burst.into_heard(), expected);
    }

    #[test]
    fn a_checkout_is_waited_for_a_little_longer() {
        let at = |milliseconds| Duration::from_millis(milliseconds);
        let begun = Instant::now();
        let mut burst = Burst::begin(begun);
        for file in 0..1000 {
            burst.add(&event(WRITTEN, &file.to_string()), begun + at(5));
        }
        assert_eq!(burst.end(), begun + at(25));
        burst.add(&event(WRITTEN, "last"), begun + at(299));
        assert_eq!(burst.end(), begun + at(300));
    }
}
