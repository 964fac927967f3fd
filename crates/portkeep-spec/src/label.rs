//! Label of a release, for people.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest label: a git revision has 40 characters, a path in a Nix store at most 222.
const LONGEST: usize = 256;

/// A release's label, for people: a git revision, a version, a path in a Nix store. One line of 1 to 256 printable ASCII
/// characters, without a space at either end, so that a log, an HTTP header and a metric's label can hold it unchanged.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String")]
#[schemars(extend("pattern" = "^[!-~]([ -~]{0,254}[!-~])?$"))]
pub struct Label(String);

/// Why a text is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// The text is empty.
    #[error(
        "a label is needed, but this is empty; write for example a git revision, or leave it out"
    )]
    Empty,
    /// It has several lines.
    #[error("the label {0:?} has a line break; a label is one line")]
    Lines(String),
    /// It contains a character that is not allowed.
    #[error(
        "the label {label:?} contains {character:?}; allowed are printable ASCII characters, and spaces between them"
    )]
    Character {
        /// The label as written.
        label: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// It begins or ends with a space.
    #[error("the label {0:?} begins or ends with a space; write it without")]
    Space(String),
    /// It is too long.
    #[error("the label is {length} characters long; at most {LONGEST} are possible")]
    TooLong {
        /// Its length.
        length: usize,
    },
}

impl Label {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let label = || text.to_owned();
        if text.is_empty() {
            return Err(LabelError::Empty);
        }
        // Checked first: the other messages quote the text.
        if text.len() > LONGEST {
            let length = text.chars().count();
            return Err(LabelError::TooLong { length });
        }
        if text.contains(['\n', '\r']) {
            return Err(LabelError::Lines(label()));
        }
        if let Some(character) = text.chars().find(|c| !matches!(c, ' '..='~')) {
            return Err(LabelError::Character {
                label: label(),
                character,
            });
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(LabelError::Space(label()));
        }
        Ok(Self(label()))
    }
}

impl TryFrom<String> for Label {
    type Error = LabelError;

    fn try_from(text: String) -> Result<Self, LabelError> {
        text.parse()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_line_that_can_be_shown() {
        for good in [
            "v1",
            "70e033f5c2",
            "/nix/store/0123-hello-1.0",
            "release 42 (\"blue\")",
            "~",
            &"x".repeat(LONGEST),
        ] {
            assert_eq!(good.parse::<Label>().unwrap().as_str(), good);
        }
        let refused = |text: &str| text.parse::<Label>().unwrap_err();
        assert_eq!(refused(""), LabelError::Empty);
        for text in ["a\nb", "a\n", "\n", "a\r\nb", "\r"] {
            assert_eq!(refused(text), LabelError::Lines(text.into()));
        }
        for (text, bad) in [
            ("a\tb", '\t'),
            ("a\0b", '\0'),
            ("\x1b[2J", '\x1b'),
            ("grün", 'ü'),
            ("\u{202e}v1", '\u{202e}'),
            ("a\u{2028}b", '\u{2028}'),
        ] {
            assert!(
                matches!(refused(text), LabelError::Character { character, .. } if character == bad),
                "{text:?}"
            );
        }
        for text in [" ", " a", "a "] {
            assert_eq!(refused(text), LabelError::Space(text.into()));
        }
        let long = LabelError::TooLong {
            length: LONGEST + 1,
        };
        assert_eq!(refused(&"x".repeat(LONGEST + 1)), long);
    }
}
