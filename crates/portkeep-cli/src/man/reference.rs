//! Pages of `docs/reference` that are generated from the command line and the schema.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};

use super::fields::{Field, fields};

const MADE: &str =
    "<!-- Made by `UPDATE_GOLDEN=1 cargo test -p portkeep-cli reference`; do not edit. -->";

/// All commands for people, with their help.
fn commands() -> String {
    let mut command = crate::cli::Cli::command()
        .disable_help_subcommand(true)
        .term_width(100);
    command.build();
    let mut page = format!("{MADE}\n# Commands\n\nWhat `--help` of each command says.\n");
    add(&mut command, &mut page);
    page
}

fn add(command: &mut Command, page: &mut String) {
    let name = command
        .get_bin_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    let _ = write!(
        page,
        "\n## {name}\n\n```text\n{}\n```\n",
        help.join("\n").trim_end()
    );
    let below = command.get_subcommands_mut();
    below
        .filter(|below| !below.is_hide_set())
        .for_each(|below| add(below, page));
}

/// All fields of the spec.
fn spec() -> String {
    let mut page = format!(
        "{MADE}\n# portkeep.json\n\n\
         The spec of one app, in JSON: what to run, what to listen on, how to start, drain and restart it. An unknown field is \
         an error. A\nrelative path is relative to the directory of the file. `portkeep schema` prints the JSON Schema that \
         this page is made of; an\neditor completes and checks a file whose field `$schema` names it. On NixOS the same fields \
         are options.\n"
    );
    for field in fields(&portkeep_spec::json_schema()) {
        entry(&field, &mut page);
    }
    page
}

fn entry(field: &Field, page: &mut String) {
    let _ = write!(
        page,
        "\n## `{}`\n\n*{}*\n\n{}\n",
        field.path,
        field.kind,
        field.text.trim()
    );
    if !field.choices.is_empty() {
        page.push_str("\n| value | meaning |\n|---|---|\n");
    }
    for (value, meaning) in &field.choices {
        let _ = writeln!(page, "| `{value}` | {} |", meaning.replace('\n', " "));
    }
}

#[test]
fn the_reference_is_current() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for (name, expected) in [("commands.md", commands()), ("portkeep-json.md", spec())] {
        let path = directory.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(&directory).unwrap();
            fs::write(&path, &expected).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "docs/reference/{name} is old. `UPDATE_GOLDEN=1 cargo test -p portkeep-cli reference` makes it anew"
        );
    }
}
