//! Every mistake in a spec has a message that names the field, says what is wrong and what to write instead.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use portkeep_spec::Spec;
use serde_json::json;
use support::message::{assert_message, message_of, with};

#[test]
fn text_that_is_not_json() {
    let twice = with("build", json!([])).to_string().repeat(2);
    for text in ["", "{", "{\"name\": \"a\",}", &twice] {
        let message = Spec::from_json(text).unwrap_err().to_string();
        assert!(message.starts_with("the spec is not JSON: "), "{message}");
        assert!(message.contains("at line 1 column"), "{message}");
    }
}

#[test]
fn keys_that_are_written_twice() {
    let text = with("environment", json!({ "A": "1", "B": "2" })).to_string();
    let twice = |old: &str, new: &str| {
        assert!(text.contains(old));
        Spec::from_json(&text.replace(old, new))
            .unwrap_err()
            .to_string()
    };
    for (old, new, field) in [
        (r#""name":"#, r#""name":"x","name":"#, "name"),
        (r#""B":"2""#, r#""A":"2""#, "environment.A"),
        (
            r#""stream":"#,
            r#""stream":"127.0.0.1:1","stream":"#,
            "listen[0].stream",
        ),
        (
            r#""name":"#,
            r#""credentials":{"t":"/a","t":"/b"},"name":"#,
            "credentials.t",
        ),
        (
            r#""name":"#,
            r#""allow":{"jit":false,"user":"a","jit":true},"name":"#,
            "allow.jit",
        ),
        (
            r#""name":"#,
            r#""resources":{"tasksMax":1,"tasksMax":2},"name":"#,
            "resources.tasksMax",
        ),
    ] {
        let message = twice(old, new);
        assert!(
            message.starts_with(&format!(
                "{field}: is written twice, the second time at line 1 column "
            )) && message.ends_with("; remove one of them"),
            "{message}"
        );
    }
}

#[test]
fn more_than_a_process_can_be_given() {
    assert_message(
        &with("environment", json!({ "A": "x".repeat(131_070) })),
        "environment.A: is 131072 bytes long with its name; the kernel gives a process at most 131071 in one variable",
    );
    let message = message_of(&with("exec", json!(["a", "x".repeat(131_071)])));
    assert!(
        message.starts_with("exec: the arguments are 1310"),
        "{message}"
    );
    // Ten thousand variables are fine.
    let many: serde_json::Map<_, _> = (0..10_000)
        .map(|one| (format!("V{one}"), json!("x")))
        .collect();
    Spec::from_json(&with("environment", many.into()).to_string()).unwrap();
}

#[test]
fn files_that_leave_the_project() {
    for (pattern, expected) in [
        (
            "../shared",
            "files[1]: \"../shared\" leads out of `filesFrom` by \"..\"; name a directory above as `filesFrom`",
        ),
        (
            "/etc/passwd",
            "files[1]: \"/etc/passwd\" is absolute; write it relative to `filesFrom`, which may be any directory",
        ),
        (
            "",
            "files[1]: is empty; write a path or a pattern below `filesFrom`, like \"static\" or \"templates/*.html\"",
        ),
    ] {
        assert_message(&with("files", json!(["static", pattern])), expected);
    }
    let message = message_of(&with("files", json!(["[a"])));
    assert!(
        message.starts_with("files[0]: \"[a\" is no pattern: "),
        "{message}"
    );
}

#[test]
fn a_label_is_one_line() {
    for (label, expected) in [
        (
            "",
            "label: a label is needed, but this is empty; write for example a git revision, or leave it out",
        ),
        (
            "v1\nv2",
            r#"label: the label "v1\nv2" has a line break; a label is one line"#,
        ),
        (
            "v1\u{7}",
            r#"label: the label "v1\u{7}" contains '\u{7}'; allowed are printable ASCII characters, and spaces between them"#,
        ),
        (
            "v1 ",
            r#"label: the label "v1 " begins or ends with a space; write it without"#,
        ),
    ] {
        assert_message(&with("label", json!(label)), expected);
    }
    assert_message(
        &with("environment", json!({ "PORTKEEP_LABEL": "v1" })),
        "environment.PORTKEEP_LABEL: is set by systemd or portkeep itself; remove it from the spec",
    );
}

#[test]
fn settings_of_files() {
    assert_message(
        &with("filesFrom", json!("dist")),
        "filesFrom: has no effect without `files`; name the files that a release brings along, or remove it",
    );
    assert_message(
        &with("filesMaxCount", json!(0)),
        "filesMaxCount: must be more than zero; leave `files` out where a release brings none",
    );
    assert_message(
        &with("filesMaxSize", json!("25%")),
        "filesMaxSize: \"25%\" is not an amount of disk space; write it like \"512M\" or \"2G\"",
    );
    let mut spec = with("files", json!(["static"]));
    spec["keepFiles"] = json!("400d");
    assert_message(
        &spec,
        "keepFiles: is longer than a year; write a shorter time",
    );
}

#[test]
fn missing_and_mistyped_fields() {
    assert_message(
        &json!({ "name": "a", "exec": ["a"] }),
        "spec: missing field `listen`",
    );
    assert_message(
        &json!("a"),
        "spec: invalid type: string \"a\", expected struct Spec",
    );
    assert_message(
        &with("exec", json!("hello")),
        "exec: invalid type: string \"hello\", expected a sequence",
    );
    assert_message(
        &with("exec", json!(["a", 1])),
        "exec[1]: invalid type: integer `1`, expected a string",
    );
}

#[test]
fn unknown_fields_name_the_nearest_known_one() {
    assert_message(
        &with("drain_timeout", json!("3s")),
        "drain_timeout: there is no such field; did you mean \"drainTimeout\"?",
    );
    assert_message(
        &with("restart", json!({ "maxdelay": "1s" })),
        "restart.maxdelay: there is no such field; did you mean \"maxDelay\"?",
    );
    assert_message(
        &with(
            "listen",
            json!([{ "stream": "127.0.0.1:1" }, { "steam": "127.0.0.1:2" }]),
        ),
        "listen[1].steam: there is no such field; did you mean \"stream\"?",
    );
    assert_message(
        &with("restart", json!({ "colour": 1 })),
        "restart.colour: there is no such field; known are delay, maxDelay, rollbackAfter, within",
    );
    // A name that ends like the path.
    assert_message(
        &with("resources", json!({ "resources": 1 })),
        "resources.resources: there is no such field; known are memoryMax, memoryHigh, cpuQuota, tasksMax",
    );
}

#[test]
fn names() {
    assert_message(
        &with("name", json!("Hello")),
        "name: the name \"Hello\" contains 'H'; allowed are a-z, 0-9 and -",
    );
    assert_message(
        &with(
            "listen",
            json!([{ "name": "a b", "stream": "127.0.0.1:1" }]),
        ),
        "listen[0].name: the name \"a b\" contains ' '; allowed are a-z, 0-9, - and _",
    );
}

#[test]
fn times() {
    assert_message(
        &with("drainTimeout", json!(30)),
        "drainTimeout: 30 has no unit; write \"30s\" for seconds or \"30ms\" for milliseconds",
    );
    assert_message(
        &with("restart", json!({ "within": "1 fortnight" })),
        "restart.within: \"1 fortnight\" is not a duration: unknown time unit \"fortnight\", supported units: ns, us/µs, \
         ms, sec, min, hours, days, weeks, months, years (and few variations); write it like \"30s\", \"100ms\" or \"1m 30s\"",
    );
    assert_message(
        &with("drainTimeout", json!("0s")),
        "drainTimeout: must be more than zero; write \"1ms\" to cut everything at once",
    );
    assert_message(
        &with("watchdog", json!("2years")),
        "watchdog: is longer than a year; write a shorter time",
    );
    assert_message(
        &with("startTimeout", json!("1s 1ns")),
        "startTimeout: has a fraction of a microsecond, but systemd counts in whole ones",
    );
    assert_message(
        &with("restart", json!({ "delay": "1m" })),
        "restart.delay: 1m is longer than restart.maxDelay, 10s",
    );
    assert_message(
        &with("restart", json!({ "rollbackAfter": 0 })),
        "restart.rollbackAfter: must be more than zero; write 1 to roll back after the first crash",
    );
    assert_message(
        &with("keepGenerations", json!(0)),
        "keepGenerations: must be more than zero; the current one is always kept",
    );
}

#[test]
fn environment_and_secrets() {
    assert_message(
        &with("environment", json!({ "A=B": "" })),
        "environment.A=B: is not the name of an environment variable; \
         allowed are letters, digits and _, and no digit at the beginning",
    );
    assert_message(
        &with("environment", json!({ "LISTEN_FDS": "3" })),
        "environment.LISTEN_FDS: is set by systemd or portkeep itself; remove it from the spec",
    );
    assert_message(
        &with("environment", json!({ "A": "\0" })),
        "environment.A: contains a NUL character, which no argument, variable or path can have",
    );
    assert_message(
        &with("credentials", json!({ "a:b": "/x" })),
        "credentials.a:b: is not the identifier of a credential; \
         allowed are letters, digits, \".\", \"_\" and \"-\", at most 255",
    );
    assert_message(
        &with("environmentFiles", json!(["ok", "a "])),
        "environmentFiles[1]: \"a \" ends with white space or a backslash, which a unit file cannot express; rename it",
    );
}

#[test]
fn commands_and_paths() {
    assert_message(
        &with("exec", json!([])),
        "exec: is empty; write the program to run, like [\"target/debug/hello\"]",
    );
    assert_message(
        &with("exec", json!(["a", "b\0"])),
        "exec[1]: contains a NUL character, which no argument, variable or path can have",
    );
    assert_message(
        &with("sources", json!(["templates", ""])),
        "sources[1]: is empty; write a path",
    );
    assert_message(
        &with("ignore", json!([" "])),
        "ignore[0]: is empty; write a pattern, like \"*.generated.rs\"",
    );
    assert_message(
        &with("profile", json!(" ")),
        "profile: is empty; name a profile of cargo's or of your Cargo.toml, like \"dev\"",
    );
    assert_message(
        &with("checks", json!(["ok", " "])),
        "checks[1]: is empty; write a command, like \"cargo test\"",
    );
    assert_message(
        &with("checks", json!([3])),
        "checks[0]: a check is a command line (\"cargo test\") or a list of words ([\"cargo\", \"test\"])",
    );
    assert_message(
        &with("workingDirectory", json!("")),
        "workingDirectory: is empty; write a path",
    );
    assert_message(
        &with("watch", json!("..")),
        "watch: \"..\" has no directory that could be watched; write the path of the build output",
    );
    assert_message(
        &with("resources", json!({ "memoryMax": "512MB" })),
        "resources.memoryMax: \"512MB\" is not an amount of memory; write it like \"512M\", \"2G\" or \"25%\"",
    );
    for (field, limit, message) in [
        (
            "idle",
            json!("0s"),
            "must be more than zero; write \"off\" for no limit",
        ),
        (
            "age",
            json!("2years"),
            "is longer than a year; write a shorter time",
        ),
        (
            "connections",
            json!(0),
            "must be more than zero; write \"off\" for no limit",
        ),
    ] {
        assert_message(
            &with("limits", json!({ field: limit })),
            &format!("limits.{field}: {message}"),
        );
    }
    assert_message(
        &with("limits", json!({ "idle": 75 })),
        "limits.idle: 75 has no unit; write \"75s\" for seconds or \"75ms\" for milliseconds",
    );
}
