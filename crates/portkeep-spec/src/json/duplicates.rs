//! Duplicate keys of a JSON object. They are refused, because JSON readers disagree which value counts.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::SpecError;

/// The first duplicate key of an object in this text, at any depth. Text that is no JSON passes: the next reader reports
/// it.
pub(super) fn refuse(text: &str) -> Result<(), SpecError> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let looked = Value {
        path: String::new(),
        found: &mut found,
    }
    .deserialize(&mut json);
    match (looked, found) {
        (Err(error), Some(field)) => Err(SpecError::Twice {
            field,
            line: error.line(),
            column: error.column(),
        }),
        _ => Ok(()),
    }
}

/// Any value, at a path.
struct Value<'a> {
    path: String,
    found: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = match self.path.as_str() {
                "" => key.clone(),
                parent => format!("{parent}.{key}"),
            };
            if !seen.insert(key) {
                *self.found = Some(path);
                return Err(A::Error::custom("twice"));
            }
            map.next_value_seed(Value {
                path,
                found: &mut *self.found,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0_usize;
        let at = |index: usize| format!("{}[{index}]", self.path);
        while list
            .next_element_seed(Value {
                path: at(index),
                found: &mut *self.found,
            })?
            .is_some()
        {
            index += 1;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Option<String> {
        refuse(text).err().map(|error| error.to_string())
    }

    #[test]
    fn a_key_is_written_once_at_any_depth() {
        for (text, expected) in [
            (
                r#"{"a": 1, "a": 1}"#,
                "a: is written twice, the second time at line 1 column 12; remove one of them",
            ),
            (
                "{\n \"e\": {\"A\": \"1\", \"\\u0041\": \"2\"}\n}",
                "e.A: is written twice, the second time at line 2 column 25; remove one of them",
            ),
            (
                r#"{"l": [{}, {"x": {"y": 1, "z": 2, "y": 3}}]}"#,
                "l[1].x.y: is written twice, the second time at line 1 column 37; remove one of them",
            ),
        ] {
            assert_eq!(message(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_text_is_left_to_others() {
        let deep = "[".repeat(100_000);
        for text in [
            r#"{"a": {"a": {"a": [null, true, 1, -1, 1.5, "a"]}}, "b": {"a": 1}}"#,
            "",
            "{",
            r#"{"a": 1, "#,
            "nonsense",
            &deep,
        ] {
            assert_eq!(message(text), None);
        }
    }
}
