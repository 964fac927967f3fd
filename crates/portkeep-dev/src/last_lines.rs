//! Last lines of a process, to tell why it ended. A panic is among them, whatever was written after it.

use crate::newest::{Most, Newest};

/// Enough for a panic with a long backtrace.
const KEPT: Most = Most {
    items: 200,
    bytes: 1 << 18,
};
/// What begins a panic.
pub(crate) const PANIC: &str = "panicked at ";
/// So many lines are kept from the beginning of the last panic on, where other threads go on writing.
const OF_PANIC: usize = 20;

#[derive(Debug)]
pub(crate) struct LastLines {
    lines: Newest<String>,
    panic: Vec<String>,
    /// So many lines came after its first one.
    since_panic: usize,
}

impl Default for LastLines {
    fn default() -> Self {
        Self {
            lines: Newest::of(KEPT),
            panic: Vec::new(),
            since_panic: 0,
        }
    }
}

impl LastLines {
    pub(crate) fn hear(&mut self, line: &str) {
        if line.contains(PANIC) {
            self.panic.clear();
            self.since_panic = 0;
        }
        if line.contains(PANIC) || (1..OF_PANIC).contains(&self.panic.len()) {
            self.panic.push(line.to_owned());
        }
        self.since_panic += 1;
        self.lines.push(line.to_owned(), line.len());
    }

    /// The panic where it is no more among the newest ones, and those.
    pub(crate) fn all(&self) -> Vec<String> {
        let newest = self.lines.iter();
        let before = self.since_panic.saturating_sub(newest.len());
        let lost = self.panic.iter().take(before);
        lost.chain(newest).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flood(lines: &mut LastLines, count: usize) {
        (0..count).for_each(|number| lines.hear(&format!("line {number}")));
    }

    #[test]
    fn a_panic_is_kept_though_others_go_on_writing() {
        let mut lines = LastLines::default();
        flood(&mut lines, 1000);
        lines.hear("thread 'main' panicked at src/main.rs:1:2:");
        lines.hear("no");
        assert_eq!(lines.all().len(), KEPT.items);
        flood(&mut lines, KEPT.items - 1);
        // Its first line is no more among the newest.
        let all = lines.all();
        assert!(all[0].contains(PANIC) && all[1] == "no" && all[2] == "line 0");
        assert_eq!(all.len(), KEPT.items + 1);
        flood(&mut lines, 5000);
        let all = lines.all();
        assert!(all[0].contains(PANIC) && all[1] == "no");
        assert_eq!(all.len(), KEPT.items + OF_PANIC);
        assert_eq!(all.last().unwrap(), "line 4999");
    }

    #[test]
    fn without_a_panic_the_newest_are_kept() {
        let mut lines = LastLines::default();
        flood(&mut lines, 1000);
        assert_eq!(lines.all().len(), KEPT.items);
        assert_eq!(lines.all()[0], "line 800");
    }

    #[test]
    fn long_lines_are_few() {
        let mut lines = LastLines::default();
        (0..100).for_each(|_| lines.hear(&"x".repeat(60_000)));
        assert!(lines.all().len() * 60_000 <= KEPT.bytes);
    }
}
