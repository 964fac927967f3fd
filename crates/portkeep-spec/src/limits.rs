//! Limits of connections, for an app on the server library.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::{Span, SpanError};
use portkeep_contract as contract;

/// Written instead of a limit.
const OFF: &str = "off";

/// A limit of time: `"75s"`, or `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// No limit.
    Off,
    /// This long.
    Span(Span),
}

/// A limit of number: `1000`, or `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CountLimit {
    /// No limit.
    Off,
    /// This many.
    Most(u32),
}

/// Limits of connections, for an app on the server library. Each is a time, or "off" for no limit. Default of each: the
/// app's own setting, else the named one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// How long a connection may wait for its next request: 75s (nginx 75s; HAProxy none).
    pub idle: Option<Limit>,
    /// How long the head of a request may take: 30s (nginx 60s; HAProxy none).
    pub head: Option<Limit>,
    /// How long a client may send no byte of a request's body that the app waits for: 60s (nginx 60s; HAProxy none).
    pub body: Option<Limit>,
    /// How long a client may take no byte of an answer: 60s (nginx 60s; HAProxy none).
    pub answer: Option<Limit>,
    /// How long an HTTP/2 client may be silent before it gets a ping: 20s (nginx and HAProxy send none).
    pub ping: Option<Limit>,
    /// How long an HTTP/2 client may take to answer a ping: 20s.
    pub pong: Option<Limit>,
    /// Longest age of a connection: "off", since connections move to the next generation (nginx 1h; HAProxy none).
    pub age: Option<Limit>,
    /// Number of open connections. Beyond that, those that have been idle for longest end, and new ones wait for room.
    /// Default: the limit of open files, less a sixteenth (nginx 512; HAProxy by the limit of open files).
    pub connections: Option<CountLimit>,
    /// Time without a packet after which TCP probes whether the other machine is there: 60s (off in nginx and HAProxy).
    /// "off" leaves the setting of the socket.
    pub tcp_keepalive: Option<Limit>,
    /// How long sent data may stay unacknowledged: 2m, or as long as `answer` if that is longer or "off" (off in nginx and
    /// HAProxy).
    pub tcp_user_timeout: Option<Limit>,
}

impl Limits {
    /// The limits of time, with their fields and variables.
    pub(crate) fn times(&self) -> [(&'static str, &'static str, Option<Limit>); 9] {
        [
            ("idle", contract::PORTKEEP_LIMIT_IDLE_USEC, self.idle),
            ("head", contract::PORTKEEP_LIMIT_HEAD_USEC, self.head),
            ("body", contract::PORTKEEP_LIMIT_BODY_USEC, self.body),
            ("answer", contract::PORTKEEP_LIMIT_ANSWER_USEC, self.answer),
            ("ping", contract::PORTKEEP_LIMIT_PING_USEC, self.ping),
            ("pong", contract::PORTKEEP_LIMIT_PONG_USEC, self.pong),
            ("age", contract::PORTKEEP_LIMIT_AGE_USEC, self.age),
            (
                "tcpKeepalive",
                contract::PORTKEEP_LIMIT_TCP_KEEPALIVE_USEC,
                self.tcp_keepalive,
            ),
            (
                "tcpUserTimeout",
                contract::PORTKEEP_LIMIT_TCP_USER_TIMEOUT_USEC,
                self.tcp_user_timeout,
            ),
        ]
    }

    /// The environment variables for the server library.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        let times = self.times().into_iter().filter_map(|(_, name, limit)| {
            let value = match limit? {
                Limit::Off => OFF.to_owned(),
                Limit::Span(span) => span.as_micros().to_string(),
            };
            Some((name, value))
        });
        let connections = self.connections.map(|limit| {
            let name = contract::PORTKEEP_LIMIT_CONNECTIONS;
            (name, limit.to_string())
        });
        times.chain(connections)
    }
}

impl From<Span> for Limit {
    fn from(span: Span) -> Self {
        Self::Span(span)
    }
}

impl FromStr for Limit {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        match text {
            OFF => Ok(Self::Off),
            _ => text.parse().map(Self::Span),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str(OFF),
            Self::Span(span) => span.fmt(f),
        }
    }
}

impl fmt::Display for CountLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str(OFF),
            Self::Most(most) => most.fmt(f),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, like \"30s\", or \"off\" for no limit")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Limit, E> {
                Err(E::custom(SpanError::NoUnit(number.to_string())))
            }
        }

        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A span of time with its unit, like \"30s\", or \"off\" for no limit.",
            "pattern": r"^(off|\s*([0-9]+(\.[0-9]+)?\s*[a-zA-Zµ]+\s*)+)$",
            "examples": ["75s", "off"]
        })
    }
}

impl Serialize for CountLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str(OFF),
            Self::Most(most) => serializer.serialize_u32(*most),
        }
    }
}

impl<'de> Deserialize<'de> for CountLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = CountLimit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, like 1000, or \"off\" for no limit")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CountLimit, E> {
                match text {
                    OFF => Ok(CountLimit::Off),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<CountLimit, E> {
                let most = u32::try_from(number);
                most.map(CountLimit::Most)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

impl JsonSchema for CountLimit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CountLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "A number, or \"off\" for no limit.",
            "pattern": "^off$",
            "format": "uint32",
            "minimum": 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_to_the_library_by_a_variable_of_its_own() {
        assert_eq!(Limits::default().variables().count(), 0);
        let text = r#"{ "idle": "1m 15s", "head": "off", "body": "1s", "answer": "1s", "ping": "1s", "pong": "1s",
            "age": "1h", "connections": 1000, "tcpKeepalive": "off", "tcpUserTimeout": "1s" }"#;
        let limits: Limits = serde_json::from_str(text).unwrap();
        let variables: Vec<_> = limits.variables().collect();
        assert_eq!(variables.len(), 10);
        for (name, value) in [
            (contract::PORTKEEP_LIMIT_IDLE_USEC, "75000000"),
            (contract::PORTKEEP_LIMIT_HEAD_USEC, "off"),
            (contract::PORTKEEP_LIMIT_CONNECTIONS, "1000"),
        ] {
            assert!(
                variables.contains(&(name, value.to_owned())),
                "{variables:?}"
            );
        }
        for (name, _) in variables {
            assert!(contract::RESERVED_VARIABLES.contains(&name), "{name}");
        }
        let again: Limits = serde_json::from_str(&serde_json::to_string(&limits).unwrap()).unwrap();
        assert_eq!(again, limits);
    }

    #[test]
    fn what_is_no_limit_says_what_is() {
        let refused = |text: &str| {
            serde_json::from_str::<Limits>(text)
                .unwrap_err()
                .to_string()
        };
        let message = refused(r#"{ "idle": 75 }"#);
        assert!(message.contains("write \"75s\""), "{message}");
        for value in ["true", "-1", "1.5"] {
            let message = refused(&format!("{{ \"idle\": {value} }}"));
            assert!(message.contains("or \"off\" for no limit"), "{message}");
        }
        for value in ["\"many\"", "-1", "1.5", "4294967296"] {
            let message = refused(&format!("{{ \"connections\": {value} }}"));
            assert!(message.contains("like 1000, or \"off\""), "{message}");
        }
    }
}
