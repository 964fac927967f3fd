//! Names of apps and sockets: safe as part of a unit name, a path and a directive's value.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name, so that unit names built from it stay far below systemd's 255 bytes.
const LONGEST: usize = 63;

/// The name of an app: `[a-z][a-z0-9-]*`, at most 63 characters. The port lives in `NAME.socket`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String")]
#[schemars(extend("pattern" = "^[a-z][a-z0-9-]{0,62}$"))]
pub struct AppName(String);

/// The name of a listening socket: `[a-z][a-z0-9_-]*`, at most 63 characters. A process finds its sockets by it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String")]
#[schemars(extend("pattern" = "^[a-z][a-z0-9_-]{0,62}$"))]
pub struct SocketName(String);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    #[error("a name is needed, but this is empty; write for example \"hello\"")]
    Empty,
    /// It does not begin with a lower-case letter.
    #[error("the name {0:?} must begin with a lower-case letter a-z")]
    First(String),
    /// It contains a character that is not allowed.
    #[error("the name {name:?} contains {character:?}; allowed are {allowed}")]
    Character {
        /// The name as written.
        name: String,
        /// The first character that is not allowed.
        character: char,
        /// The allowed characters.
        allowed: &'static str,
    },
    /// It is too long.
    #[error("the name {0:?} is longer than {LONGEST} characters")]
    TooLong(String),
}

impl AppName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SocketName {
    /// `http`, the name of the only socket when none is written.
    #[must_use]
    pub fn http() -> Self {
        Self("http".to_owned())
    }

    /// A name that portkeep itself gives.
    pub(crate) fn ours(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// Stands for "not written" between reading a list of sockets and validating it.
    pub(crate) fn missing() -> Self {
        Self(String::new())
    }

    /// Whether no name was written.
    pub(crate) fn is_missing(&self) -> bool {
        self.0.is_empty()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, "", "a-z, 0-9 and -").map(Self)
    }
}

impl FromStr for SocketName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, "_", "a-z, 0-9, - and _").map(Self)
    }
}

fn check(text: &str, more: &str, allowed: &'static str) -> Result<String, NameError> {
    let first = text.chars().next().ok_or(NameError::Empty)?;
    let name = || text.to_owned();
    let is_allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || more.contains(c);
    if let Some(character) = text.chars().find(|&c| !is_allowed(c)) {
        return Err(NameError::Character {
            name: name(),
            character,
            allowed,
        });
    }
    if !first.is_ascii_lowercase() {
        return Err(NameError::First(name()));
    }
    if text.len() > LONGEST {
        return Err(NameError::TooLong(name()));
    }
    Ok(name())
}

macro_rules! text_conversions {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl TryFrom<&str> for $type {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_conversions!(AppName);
text_conversions!(SocketName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_apps() {
        for good in ["a", "hello", "hello-2", "a--b", &"x".repeat(63)] {
            assert_eq!(good.parse::<AppName>().unwrap().as_str(), good);
        }
        let refused = |text: &str| text.parse::<AppName>().unwrap_err();
        assert_eq!(refused(""), NameError::Empty);
        for text in ["2a", "-a"] {
            assert_eq!(refused(text), NameError::First(text.into()));
        }
        for (text, bad) in [
            ("Hello", 'H'),
            ("a_b", '_'),
            ("a.b", '.'),
            ("a@b", '@'),
            ("a\n", '\n'),
            ("é", 'é'),
            ("a%i", '%'),
        ] {
            assert!(
                matches!(refused(text), NameError::Character { character, .. } if character == bad),
                "{text:?}"
            );
        }
        assert!(matches!(refused(&"x".repeat(64)), NameError::TooLong(_)));
    }

    #[test]
    fn a_socket_may_have_an_underscore_but_no_colon() {
        assert!("admin_api".parse::<SocketName>().is_ok());
        assert!("a:b".parse::<SocketName>().is_err());
    }
}
