//! `portkeep.json(5)`: every field of the spec, with its values and its default.

use std::path::Path;

use clap_mangen::roff::{Roff, bold, roman};
use serde_json::Value;

use super::Page;
use super::fields::{Field, fields};
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
    for field in fields(schema) {
        entry(&mut roff, &field);
    }
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
    // A write into memory cannot fail.
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

/// An entry of the page.
fn entry(roff: &mut Roff, field: &Field) {
    roff.control("TP", []);
    roff.text([
        bold(field.path.as_str()),
        roman(format!(" ({})", field.kind)),
    ]);
    roff.text(inlines(&field.text));
    for (value, meaning) in &field.choices {
        roff.control("RS", []);
        roff.control("TP", []);
        roff.text([bold(value.as_str())]);
        roff.text(inlines(meaning));
        roff.control("RE", []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        let text = String::from_utf8(page(&portkeep_spec::json_schema()).text).unwrap();
        text.replace("\\-", "-")
    }

    #[test]
    fn every_field_has_an_entry() {
        let text = text();
        for field in fields(&portkeep_spec::json_schema()) {
            let path = field.path;
            let begins = format!(".TP\n\\fB{path}\\fR (");
            assert!(text.contains(&begins), "{path} has no entry:\n{text}");
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
