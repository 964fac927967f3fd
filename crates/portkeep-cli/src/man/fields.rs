//! Fields of the spec, from the JSON Schema: path, kind, meaning, default and choices.

use serde_json::{Map, Value};

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    /// Path from the spec's root: `listen[].stream`.
    pub(crate) path: String,
    /// Kind of the value: `list of strings`, `"strict" or "off"`.
    pub(crate) kind: String,
    /// Meaning and default. `code` stands in backticks.
    pub(crate) text: String,
    /// Values with their meanings, for a field with few.
    pub(crate) choices: Vec<(String, String)>,
}

/// All fields. Those of an object precede those of the objects in it.
pub(crate) fn fields(schema: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    let schema = Schema(schema);
    add(&schema, schema.0, "", &mut found);
    found
}

fn add(schema: &Schema<'_>, object: &Value, above: &str, found: &mut Vec<Field>) {
    let required: Vec<_> = list(object, "required").filter_map(Value::as_str).collect();
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        let path = format!("{above}{name}");
        let described = field["description"].as_str().unwrap_or_default();
        let mut text = described.replace("\n\n", " ");
        if let Some(default) = default_of(field, described, required.contains(&name.as_str())) {
            text = format!("{text} {default}");
        }
        let choices = schema.choices(field).map(|choice| {
            let meaning = choice["description"].as_str().unwrap_or_default();
            (choice["const"].to_string(), meaning.to_owned())
        });
        found.push(Field {
            path: path.clone(),
            kind: schema.kind(field),
            text,
            choices: choices.collect(),
        });
        if let Some((object, is_list)) = schema.object(field) {
            let dot = if is_list { "[]." } else { "." };
            add(schema, object, &format!("{path}{dot}"), found);
        }
    }
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

/// The default of a field; empty if the description names it.
fn default_of(field: &Value, described: &str, is_required: bool) -> Option<String> {
    if is_required {
        return Some("It must be written.".to_owned());
    }
    if described.contains("Default:") {
        return None;
    }
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    Some(match field.get("default") {
        Some(default) if !is_empty(default) && !default.is_object() => {
            format!("Default: `{default}`.")
        }
        Some(default) if default.is_object() && !is_empty(default) => {
            "Default: as its own fields say.".to_owned()
        }
        _ => "Default: none.".to_owned(),
    })
}

/// A schema with its definitions.
struct Schema<'v>(&'v Value);

impl<'v> Schema<'v> {
    /// The type of a value: resolves a reference, and takes the variant that is not null.
    fn resolve(&self, value: &'v Value) -> &'v Value {
        let of_several = list(value, "anyOf").find(|one| one["type"] != "null");
        if let Some(one) =
            of_several.filter(|_| list(value, "anyOf").any(|one| one["type"] == "null"))
        {
            return self.resolve(one);
        }
        match value["$ref"].as_str().and_then(|at| at.rsplit('/').next()) {
            Some(name) => self.resolve(&self.0["$defs"][name]),
            None => value,
        }
    }

    fn choices(&self, field: &'v Value) -> impl Iterator<Item = &'v Value> {
        list(self.resolve(field), "oneOf").filter(|one| one.get("const").is_some())
    }

    /// The object type of a field or of the items of its list.
    fn object(&self, field: &'v Value) -> Option<(&'v Value, bool)> {
        let value = self.resolve(field);
        let (object, is_list) = match value.get("items") {
            Some(items) => (self.resolve(items), true),
            None => (value, false),
        };
        // A list item may be an object or its short form.
        let object = list(object, "anyOf")
            .map(|one| self.resolve(one))
            .find(|one| is_object(one))
            .unwrap_or(object);
        is_object(object).then_some((object, is_list))
    }

    /// The kind of a value: `list of strings`, `"strict" or "off"`, with the unit if it has one.
    fn kind(&self, field: &'v Value) -> String {
        let value = self.resolve(field);
        let choices: Vec<_> = self
            .choices(field)
            .map(|one| one["const"].to_string())
            .collect();
        if !choices.is_empty() {
            return choices.join(" or ");
        }
        if let Some(items) = value.get("items") {
            return format!("list of {}", plural(&self.kind(items)));
        }
        let examples: Vec<_> = list(value, "examples").map(Value::to_string).collect();
        if !examples.is_empty() {
            return format!("such as {}", examples.join(", "));
        }
        let several: Vec<_> = list(value, "anyOf").map(|one| self.kind(one)).collect();
        if !several.is_empty() {
            return several.join(", or ");
        }
        let types = match &value["type"] {
            Value::Array(types) => types
                .iter()
                .filter_map(Value::as_str)
                .filter(|one| *one != "null")
                .collect(),
            one => one.as_str().into_iter().collect::<Vec<_>>(),
        };
        match value
            .get("additionalProperties")
            .filter(|one| one.is_object())
        {
            Some(values) => format!("object of {}", plural(&self.kind(values))),
            None => types.join(" or "),
        }
    }
}

fn is_object(value: &Value) -> bool {
    value["properties"]
        .as_object()
        .is_some_and(|fields: &Map<String, Value>| !fields.is_empty())
}

fn plural(kind: &str) -> String {
    match kind {
        "string" | "integer" | "boolean" | "object" => format!("{kind}s"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_kind_and_a_default() {
        let found = fields(&portkeep_spec::json_schema());
        for path in [
            "listen[].stream",
            "restart.within",
            "allow.network",
            "resources.memoryMax",
        ] {
            assert!(
                found.iter().any(|one| one.path == path),
                "{path}: {found:?}"
            );
        }
        for field in &found {
            assert!(
                field.text.contains("Default") || field.text.contains("must be written"),
                "{field:?}"
            );
            assert!(!field.kind.is_empty(), "{field:?}");
        }
    }
}
