//! Log lines of generations that the loop has not read yet. If there are too many, the oldest are dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use portkeep_engine::Generation;

/// More lines than are kept to explain a failed start.
const MOST: usize = 1000;

/// A clone shares the lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnreadLines(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<(Generation, String)>,
    lost: u64,
}

/// The lines that were taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) lines: VecDeque<(Generation, String)>,
    /// Number of dropped lines before them.
    pub(crate) lost: u64,
}

impl UnreadLines {
    /// Adds a line. Returns true for the first that waits: the receiver is to be told.
    pub(crate) fn add(&self, generation: Generation, line: String) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = waiting.lines.is_empty();
        if waiting.lines.len() == MOST {
            waiting.lines.pop_front();
            waiting.lost += 1;
        }
        waiting.lines.push_back((generation, line));
        is_first
    }

    pub(crate) fn take(&self) -> Taken {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { lines, lost } = std::mem::take(&mut *waiting);
        Taken { lines, lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_and_its_end_is_kept() {
        let unread = UnreadLines::default();
        let told: usize = (0..5000)
            .map(|line| usize::from(unread.add(Generation(1), line.to_string())))
            .sum();
        assert_eq!(told, 1);
        let taken = unread.take();
        assert_eq!((taken.lines.len(), taken.lost), (MOST, 4000));
        assert_eq!(taken.lines.back().unwrap().1, "4999");
        assert_eq!(unread.take(), Taken::default());
        assert!(unread.add(Generation(1), "x".to_owned()));
    }
}
