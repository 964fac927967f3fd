//! The JSON Schema of specs.

use serde_json::{Value, json};

use crate::Spec;

/// The JSON Schema of a spec, for editors and other tools.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Spec);
    schema.insert("title".to_owned(), json!("portkeep.json"));
    // Editors find the schema by this field; a reader of the spec has no use for it, so the spec itself has none.
    schema.to_value()
}
