//! Log lines of generations that the loop has not read yet. If there are too many, the oldest are dropped.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portkeep_engine::Generation;
use portkeep_engine::newest::{Most, Newest};

/// Bound of the queue: larger than what waits in front of it, of a process that writes faster than it is read.
const KEPT: Most = Most {
    items: 50_000,
    bytes: 4 << 20,
};
/// Lines that are taken at once. The loop has other events to hear, too.
const AT_ONCE: Most = Most {
    items: 500,
    bytes: 1 << 17,
};

/// The queue. A clone shares it.
#[derive(Clone)]
pub(crate) struct UnreadLines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// Tells the loop that there are lines. Returns false if the loop has ended.
    tell: Box<dyn Fn(UnreadLines) -> bool + Send + Sync>,
}

struct Waiting {
    lines: Newest<(Generation, String)>,
    lost: u64,
    /// The loop has been told.
    is_told: bool,
}

/// The lines that were taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) lines: Vec<(Generation, String)>,
    /// Number of dropped lines before them.
    pub(crate) lost: u64,
}

impl UnreadLines {
    /// `tell` asks the loop to take the lines, once until it does. It returns false if the loop has ended.
    pub(crate) fn new(tell: impl Fn(Self) -> bool + Send + Sync + 'static) -> Self {
        let waiting = Waiting {
            lines: Newest::of(KEPT),
            lost: 0,
            is_told: false,
        };
        Self(Arc::new(Shared {
            waiting: Mutex::new(waiting),
            tell: Box::new(tell),
        }))
    }

    /// Adds a line. Returns false if the loop has ended.
    pub(crate) fn add(&self, generation: Generation, line: String) -> bool {
        let mut waiting = self.waiting();
        let bytes = line.len();
        waiting.lost += waiting.lines.push((generation, line), bytes);
        self.tell(waiting)
    }

    /// Counts lines that their reader dropped. Returns false if the loop has ended.
    pub(crate) fn lose(&self, count: u64) -> bool {
        let mut waiting = self.waiting();
        waiting.lost += count;
        self.tell(waiting)
    }

    /// Takes some lines. The loop is told again if others wait.
    pub(crate) fn take(&self) -> Taken {
        let mut waiting = self.waiting();
        let lines = waiting.lines.take(AT_ONCE);
        let lost = std::mem::take(&mut waiting.lost);
        waiting.is_told = false;
        if !waiting.lines.is_empty() {
            self.tell(waiting);
        }
        Taken { lines, lost }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, mut waiting: MutexGuard<'_, Waiting>) -> bool {
        let is_told = std::mem::replace(&mut waiting.is_told, true);
        drop(waiting);
        is_told || (self.0.tell)(self.clone())
    }
}

impl Debug for UnreadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnreadLines")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_flood_is_bounded_taken_in_parts_and_its_end_is_kept() {
        let (told, heard) = channel();
        let unread = UnreadLines::new(move |unread| told.send(unread).is_ok());
        let line = "x".repeat(65_000);
        const LINES: u64 = 2000;
        for _ in 0..LINES {
            assert!(unread.add(Generation(1), line.clone()));
        }
        assert!(unread.lose(7));
        unread.add(Generation(2), "end".to_owned());
        // The loop is told once, until it takes some.
        let (mut kept, mut lost, mut last) = (0, 0, String::new());
        while let Ok(unread) = heard.try_recv() {
            assert!(heard.try_recv().is_err());
            let taken = unread.take();
            assert!(taken.lines.len() <= AT_ONCE.items);
            kept += u64::try_from(taken.lines.len()).unwrap();
            lost += taken.lost;
            last = taken.lines.last().unwrap().1.clone();
        }
        assert_eq!(last, "end");
        assert_eq!(kept + lost, LINES + 1 + 7);
        assert!((kept - 1) * 65_000 <= u64::try_from(KEPT.bytes).unwrap());
        assert_eq!(unread.take(), Taken::default());
    }

    #[test]
    fn nobody_is_told_who_does_not_listen() {
        let unread = UnreadLines::new(|_| false);
        assert!(!unread.add(Generation(1), "x".to_owned()));
    }
}
