//! Help teaches: each command shows an example of itself.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use support::Home;

#[test]
fn every_command_shows_an_example_of_itself() {
    let home = Home::new();
    for verb in [
        "dev",
        "units",
        "install",
        "uninstall",
        "reload",
        "rollback",
        "maintenance",
        "status",
        "history",
        "logs",
        "doctor",
        "port",
        "prove",
        "schema",
        "completions",
        "man",
    ] {
        home.portkeep(&[verb, "--help"])
            .expect(0, &["Examples:", &format!("portkeep {verb}")]);
    }
}

#[test]
fn what_the_units_call_is_not_shown_to_people() {
    let home = Home::new();
    let shown = home.command(&["--help"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("handle "));
}

#[test]
fn man_pages_and_completions_are_made() {
    let home = Home::new();
    home.portkeep(&["man", "man1"]).expect(0, &[]);
    for page in ["portkeep.1", "portkeep-dev.1", "portkeep-reload.1"] {
        assert!(home.path().join("man1").join(page).exists(), "{page}");
    }
    home.portkeep(&["completions", "bash"])
        .expect(0, &["portkeep__subcmd__dev"]);
}

#[test]
fn the_schema_names_every_field_that_the_readme_needs() {
    let home = Home::new();
    home.portkeep(&["schema"]).expect(
        0,
        &["\"listen\"", "\"exec\"", "\"drainTimeout\"", "\"$schema\""],
    );
}
