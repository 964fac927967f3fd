//! `portkeep.json(5)`: every field of the spec, with what may be written there and what is meant where nothing is.

use std::path::Path;

use clap_mangen::roff::{Roff, bold, roman};
use serde_json::{Map, Value};

use super::Page;
use super::page::{inlines, verbatim};

const EXAMPLE: &str = r#"{
  "name": "hello",
  "exec": ["/srv/hello/hello"],
  "listen": [{ "stream": "0.0.0.0:8080" }],
  "drainTimeout": "2m",
  "environment": { "RUST_LOG": "info" },
  "allow": { "network": "loopback" }
}"#;

const FILES: &str = "./portkeep.json
/etc/portkeep/NAME.json
~/.config/portkeep/NAME.json";

/// The page of a schema.
pub(super) fn page(schema: &Value) -> Page {
    let mut roff = Roff::new();
    let version = concat!("portkeep ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["portkeep.json", "5", "", version, ""]);
    section(
        &mut roff,
        "NAME",
        "portkeep.json - what an app is to portkeep",
    );
    section(
        &mut roff,
        "DESCRIPTION",
        "A file in JSON, the spec of one app: what to run, what to listen on, how to start, drain and restart it. `portkeep \
         install` copies it, and renders the units from it. An unknown field is an error. A relative path is relative to \
         the directory of the file. `portkeep schema` prints the JSON Schema that this page is made of: an editor completes \
         and checks a file whose field `$schema` names it.",
    );
    roff.control("SH", ["FIELDS"]);
    let schema = Schema(schema);
    fields(&mut roff, &schema, schema.0, "");
    roff.control("SH", ["FILES"]);
    verbatim(&mut roff, FILES);
    roff.control("SH", ["EXAMPLES"]);
    verbatim(&mut roff, EXAMPLE);
    section(
        &mut roff,
        "SEE ALSO",
        "portkeep(1), portkeep-install(1), systemd.exec(5), systemd.socket(5), systemd.time(7)",
    );
    let mut text = Vec::new();
    // Into memory, which takes everything.
    let _ = roff.to_writer(&mut text);
    Page {
        path: Path::new("man5").join("portkeep.json.5"),
        text,
    }
}

fn section(roff: &mut Roff, heading: &str, text: &str) {
    roff.control("SH", [heading]);
    roff.text(inlines(text));
}

/// The fields of an object, and below each object those of its own.
fn fields(roff: &mut Roff, schema: &Schema<'_>, object: &Value, above: &str) {
    let required: Vec<_> = list(object, "required").filter_map(Value::as_str).collect();
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        let path = format!("{above}{name}");
        roff.control("TP", []);
        roff.text([
            bold(path.as_str()),
            roman(format!(" ({})", schema.kind(field))),
        ]);
        let described = field["description"].as_str().unwrap_or_default();
        let mut text = described.replace("\n\n", " ");
        if let Some(default) = default_of(field, described, required.contains(&name.as_str())) {
            text = format!("{text} {default}");
        }
        roff.text(inlines(&text));
        for choice in schema.choices(field) {
            roff.control("RS", []);
            roff.control("TP", []);
            roff.text([bold(choice["const"].to_string())]);
            roff.text(inlines(choice["description"].as_str().unwrap_or_default()));
            roff.control("RE", []);
        }
        if let Some((object, is_list)) = schema.object(field) {
            let dot = if is_list { "[]." } else { "." };
            fields(roff, schema, object, &format!("{path}{dot}"));
        }
    }
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

/// What is meant where the field is not written; nothing where its description says so.
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
    /// What a value is: what it refers to, and of several the one that is not null.
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

    /// The object that a field is, or a list of which it is.
    fn object(&self, field: &'v Value) -> Option<(&'v Value, bool)> {
        let value = self.resolve(field);
        let (object, is_list) = match value.get("items") {
            Some(items) => (self.resolve(items), true),
            None => (value, false),
        };
        // An entry of a list may be an object or something shorter.
        let object = list(object, "anyOf")
            .map(|one| self.resolve(one))
            .find(|one| is_object(one))
            .unwrap_or(object);
        is_object(object).then_some((object, is_list))
    }

    /// What is written there: `list of strings`, `"strict" or "off"`, with the unit where it has one.
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

    fn text() -> String {
        let text = String::from_utf8(page(&portkeep_spec::json_schema()).text).unwrap();
        text.replace("\\-", "-")
    }

    /// The paths of all fields below an object of the schema.
    fn paths(schema: &Schema<'_>, object: &Value, above: &str, found: &mut Vec<String>) {
        for (name, field) in object["properties"].as_object().unwrap() {
            let path = format!("{above}{name}");
            found.push(path.clone());
            if let Some((object, is_list)) = schema.object(field) {
                let dot = if is_list { "[]." } else { "." };
                paths(schema, object, &format!("{path}{dot}"), found);
            }
        }
    }

    #[test]
    fn every_field_has_an_entry_with_its_default() {
        let (schema, text) = (portkeep_spec::json_schema(), text());
        let mut found = Vec::new();
        paths(&Schema(&schema), &schema, "", &mut found);
        for name in [
            "listen[].stream",
            "restart.within",
            "allow.network",
            "resources.memoryMax",
        ] {
            assert!(found.iter().any(|one| one == name), "{name}: {found:?}");
        }
        for path in found {
            let entry = text
                .split(".TP\n")
                .find(|entry| entry.starts_with(&format!("\\fB{path}\\fR")));
            let entry = entry.unwrap_or_else(|| panic!("{path} has no entry:\n{text}"));
            assert!(
                entry.contains("Default") || entry.contains("must be written"),
                "{entry}"
            );
            let (_, kind) = entry.split_once(" (").unwrap();
            assert!(
                !kind.starts_with(')'),
                "nobody knows what {path} is: {entry}"
            );
        }
    }

    #[test]
    fn units_and_choices_are_named() {
        let text = text();
        for expected in [
            "\\fBdrainTimeout\\fR (such as \"30s\", \"100ms\", \"1m 30s\")",
            "\\fBsandbox\\fR (\"strict\" or \"off\")",
            "\\fBexec\\fR (list of strings)",
            "\\fBenvironment\\fR (object of strings)",
            ".SH EXAMPLES",
        ] {
            assert!(text.contains(expected), "{expected}:\n{text}");
        }
    }
}
