//! Last lines of a process, to tell why it ended. A panic is among them, whatever was written after it.

use memchr::memmem;

use crate::newest::{Most, Newest};

/// Enough for a panic with a long backtrace.
const KEPT: Most = Most {
    items: 200,
    bytes: 1 << 18,
};
/// What begins a panic.
const PANIC: &str = "panicked at ";
/// So many lines are kept from the beginning of the last panic on, where other threads go on writing.
const OF_PANIC: usize = 20;

/// How many lines tell why.
const TOLD: usize = 8;

/// What a process wrote last.
#[derive(Debug)]
pub struct LastLines {
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
    /// It wrote a line.
    pub fn hear(&mut self, line: &str) {
        let begins_panic = begins_panic(line);
        if begins_panic {
            self.panic.clear();
            self.since_panic = 0;
        }
        if begins_panic || (1..OF_PANIC).contains(&self.panic.len()) {
            self.panic.push(line.to_owned());
        }
        self.since_panic += 1;
        self.lines.push(line.to_owned(), line.len());
    }

    /// The panic where it is no more among the newest ones, and those.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let newest = self.lines.iter();
        let before = self.since_panic.saturating_sub(newest.len());
        let lost = self.panic.iter().take(before);
        lost.chain(newest).cloned().collect()
    }

    /// Those that say why.
    #[must_use]
    pub fn telling(&self) -> Vec<String> {
        telling(&self.all())
    }
}

fn begins_panic(line: &str) -> bool {
    memmem::find(line.as_bytes(), PANIC.as_bytes()).is_some()
}

/// The lines that say why: from the panic on, where there is one, else the last ones.
#[must_use]
pub fn telling(lines: &[String]) -> Vec<String> {
    let panic = lines.iter().rposition(|line| begins_panic(line));
    let from = panic.unwrap_or(lines.len().saturating_sub(TOLD));
    lines[from..].iter().take(TOLD).cloned().collect()
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

    #[test]
    fn a_panic_is_told_from_its_beginning() {
        let lines =
            |texts: &[&str]| -> Vec<_> { texts.iter().map(|one| (*one).to_owned()).collect() };
        let many: Vec<_> = (0..20).map(|line| line.to_string()).collect();
        assert_eq!(telling(&many), many[12..]);
        let mut panicked = lines(&["begins", "thread 'main' panicked at src/main.rs:1:2:", "no"]);
        panicked.extend(many);
        let told = telling(&panicked);
        assert_eq!((told.len(), &told[..2]), (TOLD, &panicked[1..3]));
        assert_eq!(telling(&[]), Vec::<String>::new());
    }
}
