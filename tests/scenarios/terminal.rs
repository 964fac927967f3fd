//! What others write reaches a terminal as text that can be read, and as nothing that the terminal obeys.

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour, Mode, Neighbour};
use serde_json::{Value, json};

/// A title, a cleared screen in two spellings, a line that is written over, and one whose end is read first.
const EVIL: &str = "evil \x1b]0;owned\x07 \x1b[2J \u{9b}2J hidden\rseen \u{202e}txt.exe";

#[test]
fn what_an_app_writes() {
    let app = App::named("evil")
        .with("environment", json!({ "PROBE_SAYS": EVIL }))
        .serve(&Behaviour::version("v1"));
    let logs = app.portkeep("logs", &[]).expect_success();
    logs.expect_mention(&["evil \\x1b]0;owned\\x07 \\x1b[2J \\x9b2J"]);
    harmless(&logs);

    let logs = app.portkeep("logs", &["--json"]).expect_success();
    harmless(&logs);
    let told = logs.stdout.lines().any(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["message"] == EVIL
    });
    assert!(told, "the value is not as it was written: {logs}");

    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    let failed = app.portkeep("reload", &[]).expect_failure();
    failed.expect_mention(&["owned"]);
    harmless(&failed);
    harmless(&app.portkeep("history", &[]).expect_success());
    harmless(&app.portkeep("status", &[]).expect_success());
}

#[test]
fn the_command_line_of_who_holds_a_port() {
    let forged = format!("{EVIL}\n127.0.0.1:8081 is free");
    let neighbour = Neighbour::listening("127.0.0.1:8081", &forged);
    let shown = run("portkeep", ["port", "127.0.0.1:8081"]).expect_success();
    shown.expect_mention(&[&format!("process {}", neighbour.pid())]);
    harmless(&shown);
    let freed = run("portkeep", ["port", "127.0.0.1:8081", "--free"]).expect_success();
    harmless(&freed);
    let frees = |line: &&str| *line == "127.0.0.1:8081 is free";
    assert_eq!(freed.stdout.lines().filter(frees).count(), 1, "{freed}");
}

fn harmless(shown: &Finished) {
    for text in [&shown.stdout, &shown.stderr] {
        let steers = |c: char| {
            c.is_control() && c != '\n'
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!text.contains(steers), "{:?}", shown.stdout);
    }
}
