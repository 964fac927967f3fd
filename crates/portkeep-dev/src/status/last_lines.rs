//! Last lines of a failed generation. The engine reports only a few, and a panic comes before its backtrace.

use std::collections::VecDeque;

use portkeep_engine::Generation;
use portkeep_engine::backend::StartFailure;

/// Enough for a panic with a long backtrace.
const KEPT: usize = 200;

/// The lines of the newest generation that wrote any.
#[derive(Debug, Default)]
pub(super) struct LastLines {
    generation: Option<Generation>,
    lines: VecDeque<String>,
}

impl LastLines {
    pub(super) fn hear(&mut self, generation: Generation, line: &str) {
        if self.generation < Some(generation) {
            self.generation = Some(generation);
            self.lines.clear();
        }
        if self.generation == Some(generation) {
            if self.lines.len() == KEPT {
                self.lines.pop_front();
            }
            self.lines.push_back(line.to_owned());
        }
    }

    /// Replaces the lines that `reason` ends with by all kept lines, if they are from the same generation.
    pub(super) fn complete(&self, reason: &str) -> String {
        let Some((why, last)) = reason.split_once(StartFailure::LAST_LINES) else {
            return reason.to_owned();
        };
        let end = last
            .lines()
            .last()
            .and_then(|line| line.strip_prefix("  | "));
        if end.is_none_or(|end| self.lines.iter().all(|line| line != end)) {
            return reason.to_owned();
        }
        self.lines
            .iter()
            .fold(format!("{why}\n"), |text, line| format!("{text}\n{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_from_its_beginning() {
        let mut words = LastLines::default();
        words.hear(Generation(1), "old");
        for line in ["panicked at src/main.rs:1:2", "1: frame", "2: frame"] {
            words.hear(Generation(2), line);
        }
        words.hear(Generation(1), "drained");
        assert_eq!(
            words.complete("it exited; its last lines:\n  | 2: frame"),
            "it exited\n\npanicked at src/main.rs:1:2\n1: frame\n2: frame"
        );
        let other = "it exited; its last lines:\n  | something else";
        assert_eq!(words.complete(other), other);
    }
}
