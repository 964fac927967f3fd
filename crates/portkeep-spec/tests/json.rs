//! Specs as JSON: defaults, round trips, files, the schema.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::fs;
use std::path::Path;

use portkeep_spec::{
    Address, Check, Listen, Protocol, Readiness, Restart, Sandbox, SocketName, Span, Spec,
    SpecError, json_schema,
};

const MINIMAL: &str = r#"{ "name": "hello", "exec": ["target/debug/hello"], "listen": [{ "stream": "127.0.0.1:8080" }] }"#;
const FULL: &str = include_str!("golden/full/portkeep.json");

#[test]
fn the_defaults() {
    let spec = Spec::from_json(MINIMAL).unwrap();
    let http = Listen::new(
        SocketName::http(),
        Address::stream("127.0.0.1:8080").unwrap(),
    );
    assert_eq!(
        spec,
        Spec::new(
            "hello".parse().unwrap(),
            vec!["target/debug/hello".into()],
            vec![http]
        )
    );
    assert_eq!(
        (spec.listen[0].protocol, spec.listen[0].backlog),
        (Protocol::Http, 4096)
    );
    assert_eq!(
        (spec.readiness, spec.sandbox),
        (Readiness::Notify, Sandbox::Strict)
    );
    assert_eq!(
        (spec.start_timeout, spec.drain_timeout),
        (Span::from_secs(30), Span::from_secs(30))
    );
    assert_eq!(
        (spec.watchdog, spec.idle_exit, spec.keep_generations),
        (None, None, 3)
    );
    assert!(spec.move_connections && spec.has_move_socket());
    let restart = Restart {
        delay: Span::from_millis(100),
        max_delay: Span::from_secs(10),
        rollback_after: 3,
        within: Span::from_secs(60),
    };
    assert_eq!(spec.restart, restart);
}

#[test]
fn what_is_written_is_read_again() {
    for text in [MINIMAL, FULL] {
        let spec = Spec::from_json(text).unwrap();
        let json = spec.to_json();
        assert_eq!(Spec::from_json(&json).unwrap(), spec);
        assert_eq!(Spec::from_json(&json).unwrap().to_json(), json, "stable");
        assert!(json.ends_with("}\n"));
    }
}

#[test]
fn a_check_is_a_line_or_words() {
    let spec = Spec::from_json(FULL).unwrap();
    assert_eq!(
        spec.checks[0],
        Check::Line("cargo clippy -- -D warnings && ./lint".into())
    );
    assert_eq!(
        spec.checks[0].command(),
        ["sh", "-c", "cargo clippy -- -D warnings && ./lint"]
    );
    assert_eq!(spec.checks[1].command(), ["cargo", "test"]);
}

#[test]
fn only_who_can_use_it_is_passed_a_move_socket() {
    let spec = |more: &str| {
        let text = MINIMAL.replace(
            "\"name\": \"hello\"",
            &format!("\"name\": \"hello\", {more}"),
        );
        Spec::from_json(&text).unwrap().has_move_socket()
    };
    assert!(spec(r#""readiness": "notify""#));
    assert!(!spec(r#""readiness": "started""#));
    assert!(!spec(r#""moveConnections": false"#));
    let raw = MINIMAL.replace(
        r#""127.0.0.1:8080""#,
        r#""127.0.0.1:8080", "protocol": "raw""#,
    );
    assert!(!Spec::from_json(&raw).unwrap().has_move_socket());
}

#[test]
fn a_file_is_resolved_against_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("portkeep.json");
    fs::write(&file, MINIMAL).unwrap();
    let spec = Spec::load(&file).unwrap();
    assert_eq!(
        Path::new(&spec.exec[0]),
        directory.path().join("target/debug/hello")
    );

    fs::write(&file, "{").unwrap();
    assert!(matches!(Spec::load(&file), Err(SpecError::Syntax { .. })));
    let missing = Spec::load(&directory.path().join("no.json")).unwrap_err();
    assert!(missing.to_string().contains("no.json"), "{missing}");
}

#[test]
fn a_spec_is_a_small_regular_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("portkeep.json");
    let refused = |path: &Path| {
        let error = Spec::load(path).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", source.unwrap_or_default())
    };
    // 100 MB of nothing, and a spec that would be good but for its length.
    fs::File::create(&file)
        .unwrap()
        .set_len(100_000_000)
        .unwrap();
    let too_long = format!(
        "cannot read the spec {}: it is longer than 1048576 bytes, the most that is read",
        file.display()
    );
    assert_eq!(refused(&file), too_long);
    fs::write(&file, format!("{MINIMAL}{}", " ".repeat(1024 * 1024))).unwrap();
    assert_eq!(refused(&file), too_long);
    fs::write(&file, format!("{MINIMAL}{}", " ".repeat(1_000_000))).unwrap();
    Spec::load(&file).unwrap();

    let fifo = directory.path().join("fifo");
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, 0o600.into(), 0).unwrap();
    for (path, what) in [
        (fifo.as_path(), "a FIFO"),
        (Path::new("/dev/zero"), "a device"),
        (directory.path(), "a directory"),
    ] {
        assert_eq!(
            refused(path),
            format!(
                "cannot read the spec {}: it is {what}, and not a regular file",
                path.display()
            )
        );
    }
}

#[test]
fn the_schema_has_every_field() {
    let schema = json_schema();
    let spec: serde_json::Value =
        serde_json::from_str(&Spec::from_json(FULL).unwrap().to_json()).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    for (field, _) in spec.as_object().unwrap() {
        assert!(
            properties.contains_key(field),
            "{field} is not in the schema"
        );
    }
    assert_eq!(
        schema["required"],
        serde_json::json!(["name", "exec", "listen"])
    );
    assert_eq!(schema["additionalProperties"], false);
    for name in ["AppName", "SocketName", "Span"] {
        assert!(schema["$defs"][name]["pattern"].is_string(), "{name}");
    }
    for definition in ["Listen", "Restart", "Resources"] {
        assert_eq!(
            schema["$defs"][definition]["additionalProperties"], false,
            "{definition}"
        );
    }
}
