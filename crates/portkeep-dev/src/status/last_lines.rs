//! Last lines of a failed generation. The engine reports only a few, and a panic comes before its backtrace.

use portkeep_engine::Generation;
use portkeep_engine::backend::StartFailure;
use portkeep_engine::process::LastLines;

/// The lines of the newest generation that wrote any.
#[derive(Debug, Default)]
pub(super) struct LastLinesOfNewest {
    generation: Option<Generation>,
    lines: LastLines,
}

impl LastLinesOfNewest {
    pub(super) fn hear(&mut self, generation: Generation, line: &str) {
        if self.generation < Some(generation) {
            self.generation = Some(generation);
            self.lines = LastLines::default();
        }
        if self.generation == Some(generation) {
            self.lines.hear(line);
        }
    }

    /// Puts all lines in place of those that `reason` ends with, where they are of the same generation and were heard: the end of
    /// a start may be known before its last lines are.
    pub(super) fn complete(&self, reason: &str) -> String {
        let Some((why, last)) = reason.split_once(StartFailure::LAST_LINES) else {
            return reason.to_owned();
        };
        let lines = self.lines.all();
        let told = last.lines().filter(|line| !line.is_empty());
        let mut told = told.map(|line| line.strip_prefix("  | "));
        if !told.all(|line| line.is_some_and(|line| lines.iter().any(|one| one == line))) {
            return reason.to_owned();
        }
        lines
            .iter()
            .fold(format!("{why}\n"), |text, line| format!("{text}\n{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_from_its_beginning() {
        let mut words = LastLinesOfNewest::default();
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
        let unheard = "it exited; its last lines:\n  | panicked at src/lib.rs\n  | 2: frame";
        assert_eq!(words.complete(unheard), unheard);
    }
}
