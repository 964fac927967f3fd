//! A spec with a mistake, and what is said of it.

use portkeep_spec::Spec;
use serde_json::{Value, json};

pub fn message_of(spec: &Value) -> String {
    Spec::from_json(&spec.to_string()).unwrap_err().to_string()
}

/// A good spec with one field replaced.
pub fn with(field: &str, value: Value) -> Value {
    let mut spec =
        json!({ "name": "hello", "exec": ["hello"], "listen": [{ "stream": "127.0.0.1:8080" }] });
    spec[field] = value;
    spec
}

#[track_caller]
pub fn assert_message(spec: &Value, expected: &str) {
    assert_eq!(message_of(spec), expected);
}
