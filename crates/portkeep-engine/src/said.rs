//! What a generation says of itself, in numbers: an app on the server library has them in its status (`STATUS=`).

/// Counts of one run of a generation. An app without the library says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Requests that it has answered since it was started.
    pub answered: u64,
    /// Connections that the next generation has taken from it.
    pub moved: u64,
    /// Connections that it has ended in the middle of something.
    pub cut: u64,
}

impl Said {
    /// What a status says. It is anybody's text: what is no number counts as none.
    #[must_use]
    pub fn of(status: &str) -> Self {
        Self {
            answered: before(status, " answered in all"),
            moved: before(status, " moved"),
            cut: after(status, "cut "),
        }
    }
}

/// The number that stands before these words.
fn before(text: &str, words: &str) -> u64 {
    let digits = text.split_once(words).map_or("", |(before, _)| before);
    let begin = digits.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    digits[begin..].parse().unwrap_or(0)
}

/// The number that stands after these words.
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
            let said = Said::of(status);
            assert_eq!(
                (said.answered, said.moved, said.cut),
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
            assert_eq!(Said::of(status), Said::default(), "{status}");
        }
    }
}
