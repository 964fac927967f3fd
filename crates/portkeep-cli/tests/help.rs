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
        "serves",
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
fn man_pages_are_made_with_examples() {
    let home = Home::new();
    home.portkeep(&["man", "man"]).expect(0, &[]);
    for page in [
        "man1/portkeep.1",
        "man1/portkeep-dev.1",
        "man1/portkeep-reload.1",
        "man5/portkeep.json.5",
    ] {
        let text = std::fs::read_to_string(home.path().join("man").join(page)).unwrap();
        assert!(text.contains(".SH EXAMPLES"), "{page}");
        assert!(!text.contains("Examples:"), "{page}");
    }
    let pages = std::fs::read_dir(home.path().join("man/man1")).unwrap();
    for page in pages.flatten() {
        let name = page.file_name().to_string_lossy().into_owned();
        assert!(
            !name.contains("handle"),
            "{name} is for units, not for people"
        );
    }
}

#[test]
fn the_schema_names_every_field_that_the_readme_needs() {
    let home = Home::new();
    home.portkeep(&["schema"]).expect(
        0,
        &["\"listen\"", "\"exec\"", "\"drainTimeout\"", "\"$schema\""],
    );
}
