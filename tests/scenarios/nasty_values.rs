//! Arguments and environment arrive in the process exactly as the spec says, whatever they contain.

use std::time::Duration;

use portkeep_tests::{App, Behaviour};
use serde_json::{Value, json};

const NASTY: [&str; 20] = [
    "%n %% %i %h",
    "\"quoted\" 'single' half\"",
    "two\nlines",
    "tab\tand  two spaces",
    "; rm -rf /tmp/x ; #comment",
    "$HOME ${HOME} $$ $PORTKEEP_ARGS",
    "-leading",
    "@leading",
    "+leading",
    "!leading",
    ":leading",
    "\\back\\slash\\n \\x41",
    " surrounded ",
    "",
    "[Service]",
    "ExecStart=/bin/false",
    "ends with \\",
    "`command` $(command)",
    "ünïcödé 🚀",
    "'",
];

#[test]
fn arguments_arrive_exactly() {
    let app = App::named("nasty-args")
        .args(&NASTY)
        .serve(&Behaviour::version("v1"));
    assert_eq!(json_of(&app, "/args"), json!(NASTY));

    // And again from the generation that a reload starts.
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_version("v2", Duration::from_secs(20));
    assert_eq!(json_of(&app, "/args"), json!(NASTY));
}

#[test]
fn the_environment_arrives_exactly() {
    let environment: serde_json::Map<String, Value> = NASTY
        .iter()
        .enumerate()
        .map(|(number, value)| (format!("NASTY_{number}"), json!(value)))
        .collect();
    let app = App::named("nasty-env")
        .with("environment", Value::Object(environment.clone()))
        .install(&Behaviour::version("v1"));
    for (name, value) in environment {
        assert_eq!(json_of(&app, &format!("/env/{name}")), value, "{name}");
    }
}

fn json_of(app: &App, path: &str) -> Value {
    let body = app.get(path).body;
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}
