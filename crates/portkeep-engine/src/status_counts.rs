//! Counts in the status of a generation (`STATUS=`), which the server library writes.

/// Counts of one run of a generation. All are 0 for an app without the library.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatusCounts {
    /// Requests that it has answered since it was started.
    pub answered: u64,
    /// Connections that moved to the next generation.
    pub moved: u64,
    /// Connections that it cut in the middle of something.
    pub cut: u64,
}

impl StatusCounts {
    /// Reads the counts of a status. Any app may write one: text that is not a number counts as 0.
    #[must_use]
    pub fn of(status: &str) -> Self {
        Self {
            answered: before(status, " answered in all"),
            moved: before(status, " moved"),
            cut: after(status, "cut "),
        }
    }
}

/// The number before these words.
fn before(text: &str, words: &str) -> u64 {
    let digits = text.split_once(words).map_or("", |(before, _)| before);
    let begin = digits.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    digits[begin..].parse().unwrap_or(0)
}

/// The number after these words.
fn after(text: &str, words: &str) -> u64 {
    let rest = text.split_once(words).map_or("", |(_, rest)| rest);
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sentences of the library: `drain::report` and `serve` have the same ones in their tests.
    #[test]
    fn the_library_is_understood() {
        for (status, answered, moved, cut) in [
            (
                "serving on 127.0.0.1:8080 (http), 12 answered in all",
                12,
                0,
                0,
            ),
            (
                "serving on 127.0.0.1:8080 (http), 12 answered in all; limits ended 1: 1 idle",
                12,
                0,
                0,
            ),
            (
                "draining, 3 requests in flight, 7 connections left, 40 answered in all",
                40,
                0,
                0,
            ),
            (
                "drained in 1.2s: 7 answered, 50 moved, 2 idle closed, nothing cut; 1234 answered in all",
                1234,
                50,
                0,
            ),
            (
                "drained in 1.2s: 7 answered, 50 moved, 2 idle closed, cut 4: 1 busy 3 upgraded; 1234 answered in all; limits \
                 ended 1: 1 idle",
                1234,
                50,
                4,
            ),
            (
                "drained in 1.2s: 7 answered, 50 moved, 2 idle closed, nothing cut; 1234 answered in all; 20 WebSockets handed over",
                1234,
                50,
                0,
            ),
        ] {
            let counts = StatusCounts::of(status);
            assert_eq!(
                (counts.answered, counts.moved, counts.cut),
                (answered, moved, cut),
                "{status}"
            );
        }
    }

    #[test]
    fn what_others_say_is_no_number() {
        for status in [
            "",
            "processing requests",
            "x answered in all, moved, cut the cake",
            "99999999999999999999999 answered in all",
        ] {
            assert_eq!(
                StatusCounts::of(status),
                StatusCounts::default(),
                "{status}"
            );
        }
    }
}
