//! Failure, as a page shows it.

use serde::Serialize;

use super::diagnostics::{self, Level, Part};

/// Longer texts are not read, and make pages slow.
const LONGEST_TEXT: usize = 100_000;
const MOST_PARTS: usize = 100;

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) title: String,
    pub(crate) parts: Vec<Part>,
}

impl Failure {
    pub(crate) fn new(title: impl Into<String>, mut parts: Vec<Part>) -> Self {
        // Errors first; otherwise in order.
        parts.sort_by_key(|part| part.level);
        let more = parts.len().saturating_sub(MOST_PARTS);
        parts.truncate(MOST_PARTS);
        if more > 0 {
            let text = format!("… and {more} more, which the terminal has");
            let level = Level::Error;
            parts.push(Part { level, text });
        }
        for part in &mut parts {
            shorten(&mut part.text);
        }
        Self {
            title: title.into(),
            parts,
        }
    }

    /// A failure with the output of a check, which may be a compiler's.
    pub(crate) fn of_check(title: impl Into<String>, output: &str) -> Self {
        Self::new(title, diagnostics::parts(output))
    }

    /// A failure with the output of a program.
    pub(crate) fn of_output(title: impl Into<String>, output: impl Into<String>) -> Self {
        let (level, text) = (Level::Error, output.into());
        Self::new(title, vec![Part { level, text }])
    }
}

/// Keeps the end, which says what went wrong.
fn shorten(text: &mut String) {
    if text.len() > LONGEST_TEXT {
        let mut from = text.len() - LONGEST_TEXT;
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text.replace_range(..from, "…\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_before_warnings() {
        let part = |level, text: &str| Part {
            level,
            text: text.to_owned(),
        };
        let failure = Failure::new(
            "x",
            vec![
                part(Level::Warning, "w"),
                part(Level::Error, "a"),
                part(Level::Error, "b"),
            ],
        );
        let texts: Vec<_> = failure.parts.iter().map(|part| &*part.text).collect();
        assert_eq!(texts, ["a", "b", "w"]);
    }

    #[test]
    fn what_is_very_long_loses_its_beginning() {
        let mut text = "ä".repeat(LONGEST_TEXT);
        shorten(&mut text);
        assert!(text.len() <= LONGEST_TEXT + 4 && text.starts_with('…'));
    }
}
