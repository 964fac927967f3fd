//! Permissions of a Unix socket's file: who may connect.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Permissions of a Unix socket's file, written as octal text: `"0600"`, `"0660"`. Whoever may write may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketMode(u32);

/// A text that is not the mode of a socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not the mode of a socket; write three octal digits as text, like \"0600\" (its user may connect), \"0660\" \
     (its group, too) or \"0666\" (everybody)"
)]
pub struct SocketModeError(String);

impl SocketMode {
    /// Its owner may connect.
    pub const USER: Self = Self(0o600);
    /// Its owner and its group may connect.
    pub const GROUP: Self = Self(0o660);

    /// The bits, as `chmod` takes them.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for SocketMode {
    type Err = SocketModeError;

    fn from_str(text: &str) -> Result<Self, SocketModeError> {
        let digits = match text.len() {
            4 => text.strip_prefix('0'),
            _ => Some(text),
        };
        let is_octal = |digits: &&str| {
            digits.len() == 3 && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit))
        };
        digits
            .filter(is_octal)
            .and_then(|digits| u32::from_str_radix(digits, 8).ok())
            .map(Self)
            .ok_or_else(|| SocketModeError(format!("{text:?}")))
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for SocketMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SocketMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = SocketMode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the mode of a socket as text, like \"0660\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketMode, E> {
                text.parse().map_err(E::custom)
            }

            // Whether 660 is decimal or octal, half of the readers would guess wrong.
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<SocketMode, E> {
                Err(E::custom(SocketModeError(number.to_string())))
            }
        }

        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for SocketMode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SocketMode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Permissions of a Unix socket's file, in octal digits.",
            "pattern": "^0?[0-7]{3}$",
            "examples": ["0600", "0660"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_octal_digits() {
        for (text, bits) in [("0600", 0o600), ("660", 0o660), ("0777", 0o777), ("000", 0)] {
            let mode: SocketMode = text.parse().unwrap();
            assert_eq!(mode.bits(), bits);
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "6", "66", "0888", "1777", "4755", "06600", "+660", "0o660", "0660 ", "rw",
            "0660\n",
        ] {
            assert!(text.parse::<SocketMode>().is_err(), "{text:?}");
        }
        let message = serde_json::from_str::<SocketMode>("660").unwrap_err();
        assert!(
            message.to_string().contains("660 is not the mode"),
            "{message}"
        );
    }
}
