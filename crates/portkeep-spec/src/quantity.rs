//! Amounts of memory, processor time and tasks, as systemd's resource control takes them.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// An amount of memory: bytes, optionally with `K`, `M`, `G` or `T` (powers of 1024), or a percentage of the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemorySize {
    /// So many bytes.
    Bytes(u64),
    /// So many percent of the machine's memory, 1 to 100.
    Percent(u8),
}

/// A share of processor time in percent; 100 is one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CpuQuota(u32);

/// A number of tasks (processes and threads), or a percentage of the machine's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TasksMax {
    /// So many.
    Count(u64),
    /// So many percent of what the machine allows, 1 to 100.
    Percent(u8),
}

/// An amount of disk space: bytes, optionally with `K`, `M`, `G` or `T` (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskSize(u64);

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct QuantityError {
    text: String,
    what: &'static str,
}

const MEMORY: &str = "an amount of memory; write it like \"512M\", \"2G\" or \"25%\"";
const DISK: &str = "an amount of disk space; write it like \"512M\" or \"2G\"";
const CPU: &str =
    "a share of processor time; write it like \"50%\", or \"200%\" for two processors";
const TASKS: &str = "a number of tasks; write it like 512 or \"10%\"";

impl CpuQuota {
    /// The percentage; 100 is one processor.
    #[must_use]
    pub fn percent(self) -> u32 {
        self.0
    }
}

impl DiskSize {
    /// So many gigabytes (1024³ bytes).
    #[must_use]
    pub const fn from_gigabytes(count: u64) -> Self {
        Self(count << 30)
    }

    /// The number of bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for DiskSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        match text.parse() {
            Ok(MemorySize::Bytes(bytes)) => Ok(Self(bytes)),
            _ => Err(QuantityError {
                text: text.to_owned(),
                what: DISK,
            }),
        }
    }
}

impl FromStr for MemorySize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let read = || {
            if let Some(percent) = percent(text) {
                return Some(Self::Percent(percent));
            }
            let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
            let power = match &text[digits.len()..] {
                "" => 0,
                "K" => 1,
                "M" => 2,
                "G" => 3,
                "T" => 4,
                _ => return None,
            };
            positive(digits)?
                .checked_mul(1024_u64.pow(power))
                .map(Self::Bytes)
        };
        read().ok_or_else(|| QuantityError {
            text: text.to_owned(),
            what: MEMORY,
        })
    }
}

impl FromStr for CpuQuota {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        text.strip_suffix('%')
            .and_then(positive)
            .and_then(|percent| u32::try_from(percent).ok())
            .map(Self)
            .ok_or_else(|| QuantityError {
                text: text.to_owned(),
                what: CPU,
            })
    }
}

impl FromStr for TasksMax {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        percent(text)
            .map(Self::Percent)
            .or_else(|| positive(text).map(Self::Count))
            .ok_or_else(|| QuantityError {
                text: text.to_owned(),
                what: TASKS,
            })
    }
}

fn percent(text: &str) -> Option<u8> {
    let number = positive(text.strip_suffix('%')?)?;
    u8::try_from(number).ok().filter(|&percent| percent <= 100)
}

fn positive(digits: &str) -> Option<u64> {
    // `parse` alone would take "+1".
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|&number| plain && number > 0)
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => {
                let units = [(4, "T"), (3, "G"), (2, "M"), (1, "K")];
                match units
                    .into_iter()
                    .find(|&(power, _)| bytes % 1024_u64.pow(power) == 0)
                {
                    Some((power, unit)) => write!(f, "{}{unit}", bytes / 1024_u64.pow(power)),
                    None => write!(f, "{bytes}"),
                }
            }
        }
    }
}

impl fmt::Display for DiskSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        MemorySize::Bytes(self.0).fmt(f)
    }
}

impl fmt::Display for CpuQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl fmt::Display for TasksMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

struct Text<T>(&'static str, std::marker::PhantomData<T>);

impl<T: FromStr<Err = QuantityError>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

macro_rules! as_text {
    ($type:ident, $what:expr, $pattern:literal, $kinds:tt) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text($what, std::marker::PhantomData))
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": $kinds, "pattern": $pattern, "minimum": 1 })
            }
        }
    };
}

as_text!(
    MemorySize,
    MEMORY,
    "^[0-9]+[KMGT%]?$",
    ["string", "integer"]
);
as_text!(DiskSize, DISK, "^[0-9]+[KMGT]?$", ["string", "integer"]);
as_text!(CpuQuota, CPU, "^[0-9]+%$", ["string"]);
as_text!(TasksMax, TASKS, "^[0-9]+%?$", ["string", "integer"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written() {
        for (text, written) in [
            ("512M", "512M"),
            ("1024K", "1M"),
            ("1000", "1000"),
            ("25%", "25%"),
            ("2T", "2T"),
        ] {
            assert_eq!(text.parse::<MemorySize>().unwrap().to_string(), written);
        }
        assert_eq!(
            serde_json::from_str::<MemorySize>("1048576")
                .unwrap()
                .to_string(),
            "1M"
        );
        assert_eq!("2G".parse(), Ok(DiskSize::from_gigabytes(2)));
        assert_eq!(DiskSize::from_gigabytes(2).to_string(), "2G");
        assert_eq!("250%".parse::<CpuQuota>().unwrap().percent(), 250);
        assert_eq!(
            serde_json::from_str::<TasksMax>("12").unwrap(),
            TasksMax::Count(12)
        );
    }

    #[test]
    fn what_systemd_would_misread_is_refused() {
        for text in [
            "",
            "0",
            "-1",
            "+1",
            "1.5G",
            "512MB",
            "512m",
            "101%",
            "0%",
            "M",
            "5MK",
            "99999999999T",
            "1\n2",
            "infinity",
        ] {
            assert!(text.parse::<MemorySize>().is_err(), "{text:?}");
        }
        for text in ["25%", "0", "1.5G", "-1"] {
            assert!(text.parse::<DiskSize>().is_err(), "{text:?}");
        }
        for text in ["50", "0%", "%", "-5%", "99999999999%"] {
            assert!(text.parse::<CpuQuota>().is_err(), "{text:?}");
        }
        assert!("1K".parse::<TasksMax>().is_err());
        assert!(
            serde_json::from_str::<CpuQuota>("50")
                .unwrap_err()
                .to_string()
                .contains("\"50%\"")
        );
    }
}
