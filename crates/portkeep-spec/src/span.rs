//! A span of time, written with its unit.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A span of time: `"30s"`, `"100ms"`, `"1m 30s"` in a spec.
///
/// A number without a unit is refused, because half of the readers would take it for milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

/// Why a text is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpanError {
    /// A number alone.
    #[error("{0} has no unit; write \"{0}s\" for seconds or \"{0}ms\" for milliseconds")]
    NoUnit(String),
    /// Anything else that cannot be read.
    #[error("{text:?} is not a duration: {why}; write it like \"30s\", \"100ms\" or \"1m 30s\"")]
    Unreadable {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }
}

impl Deref for Span {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        // humantime takes "0" for a duration; a rule without an exception is easier to remember.
        if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
            return Err(SpanError::NoUnit(text.to_owned()));
        }
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|why| SpanError::Unreadable {
                text: text.to_owned(),
                why: why.to_string(),
            })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, like \"30s\" or \"100ms\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Span, E> {
        Err(E::custom(SpanError::NoUnit(number.to_string())))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Span, E> {
        Err(E::custom(format!(
            "a duration cannot be negative, but this is {number}"
        )))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Span, E> {
        Err(E::custom(SpanError::NoUnit(number.to_string())))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A span of time with its unit, like \"30s\", \"100ms\" or \"1m 30s\".",
            "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*[a-zA-Zµ]+\s*)+$",
            "examples": ["30s", "100ms", "1m 30s"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_with_a_unit() {
        for (text, millis) in [
            ("30s", 30_000),
            ("100ms", 100),
            ("1m 30s", 90_000),
            ("0s", 0),
            ("2h", 7_200_000),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span, Span::from_millis(millis));
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_the_two_likely_meanings() {
        let message = serde_json::from_str::<Span>("30").unwrap_err().to_string();
        assert!(
            message.contains("30 has no unit; write \"30s\" for seconds or \"30ms\""),
            "{message}"
        );
        assert_eq!("0".parse::<Span>(), Err(SpanError::NoUnit("0".into())));
        assert!(
            serde_json::from_str::<Span>("-1")
                .unwrap_err()
                .to_string()
                .contains("negative")
        );
        assert!(matches!(
            "".parse::<Span>(),
            Err(SpanError::Unreadable { .. })
        ));
        assert!(matches!(
            "3 fortnights".parse::<Span>(),
            Err(SpanError::Unreadable { .. })
        ));
    }
}
