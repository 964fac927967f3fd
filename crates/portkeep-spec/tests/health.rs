//! `health`: how it may be written, and what is refused.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use portkeep_spec::{HealthProtocol, Spec, unit_names};
use serde_json::{Value, json};

fn spec(more: Value) -> Result<Spec, String> {
    let mut spec = json!({
        "name": "a",
        "exec": ["/bin/a"],
        "listen": [{ "name": "http", "stream": "127.0.0.1:80" }, { "name": "more", "stream": "127.0.0.1:82" }],
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    Spec::from_json(&spec.to_string()).map_err(|error| error.to_string())
}

#[test]
fn one_address_is_enough_and_a_list_may_have_several() {
    use HealthProtocol::{AgentCheck, Http};
    for (written, protocols) in [
        (json!(null), vec![]),
        (json!([]), vec![]),
        (json!("127.0.0.1:81"), vec![Http]),
        (json!("/run/a/health"), vec![Http]),
        (
            json!({ "stream": "[::1]:81", "protocol": "agent-check" }),
            vec![AgentCheck],
        ),
        (
            json!(["127.0.0.1:81", { "stream": "/run/h" }, "[::1]:81"]),
            vec![Http; 3],
        ),
    ] {
        let spec = spec(json!({ "health": written })).unwrap();
        let read: Vec<_> = spec.health.iter().map(|one| one.protocol).collect();
        assert_eq!(read, protocols, "{written}");
        // What is installed says the same.
        assert_eq!(Spec::from_json(&spec.to_json()).unwrap(), spec);
    }
}

#[test]
fn they_have_units_of_their_own_and_only_an_app_that_answers_is_passed_them() {
    let health = ["127.0.0.1:81", "127.0.0.1:83"];
    let named = |by: &str| spec(json!({ "health": health, "healthBy": by })).unwrap();
    let all = [
        "a.socket",
        "a-more.socket",
        "a-health.socket",
        "a-health-2.socket",
        "a-move.socket",
    ];
    assert_eq!(unit_names::sockets(&named("portkeep")), all);
    assert_eq!(unit_names::passed(&named("app")), all);
    let passed = unit_names::passed(&named("portkeep"));
    assert_eq!(passed, ["a.socket", "a-more.socket", "a-move.socket"]);
    let name = "a".parse().unwrap();
    for (unit, expected) in [
        ("a-health.socket", true),
        ("a-health-2.socket", true),
        ("a-health-x.socket", false),
        ("a-healthy.socket", false),
        ("b-health.socket", false),
        ("a-health.service", false),
    ] {
        assert_eq!(
            unit_names::is_health_socket(&name, unit),
            expected,
            "{unit}"
        );
    }
}

#[test]
fn what_cannot_be_meant_names_its_field_and_says_what_to_write() {
    for (more, field, words) in [
        (json!({ "health": 81 }), "health", "127.0.0.1:81"),
        (json!({ "health": "81" }), "health", "127.0.0.1:81"),
        (
            json!({ "health": ["127.0.0.1:81", { "port": 81 }] }),
            "health[1]",
            "port",
        ),
        (
            json!({ "health": [{ "protocol": "http" }] }),
            "health[0]",
            "stream",
        ),
        (
            json!({ "health": { "stream": "127.0.0.1:81", "protocol": "tcp" } }),
            "health",
            "agent-check",
        ),
        (
            json!({ "health": "127.0.0.1:80" }),
            "health[0].stream",
            "listen[0]",
        ),
        (
            json!({ "health": "0.0.0.0:80" }),
            "health[0].stream",
            "listen[0]",
        ),
        (
            json!({ "health": ["/run/h", "/run/h"] }),
            "health[1].stream",
            "health[0]",
        ),
        (
            json!({ "health": { "stream": "127.0.0.1:81", "mode": "0666" } }),
            "health[0].mode",
            "Unix",
        ),
        (json!({ "health": "127.0.0.1:0" }), "health", "port 0"),
        (json!({ "healthBy": "app" }), "healthBy", "`health`"),
        (
            json!({ "health": "/run/h", "healthBy": "app", "idleExit": "1m" }),
            "healthBy",
            "idleExit",
        ),
        (
            json!({ "health": "/run/h", "healthBy": "app", "readiness": "started" }),
            "healthBy",
            "READY",
        ),
        (
            json!({ "health": "/run/h", "healthBy": "app", "listen": [{ "stream": "/run/a", "protocol": "raw" }] }),
            "healthBy",
            "HTTP",
        ),
        (json!({ "drainGrace": "90s" }), "drainGrace", "1m 30s"),
        (
            json!({ "drainGrace": "1h" }),
            "drainGrace",
            "less than that",
        ),
        (json!({ "drainGrace": 5 }), "drainGrace", "5s"),
        (
            json!({ "health": "/run/h", "listen": [{ "name": "http", "stream": "/run/a" }, { "name": "health", "stream": "/run/b" }] }),
            "listen[1].name",
            "health",
        ),
        (
            json!({ "listen": [{ "name": "portkeep-health", "stream": "/run/a" }] }),
            "listen[0].name",
            "portkeep-health",
        ),
    ] {
        let message = spec(more.clone()).unwrap_err();
        assert!(
            message.contains(field) && message.contains(words),
            "{more}: {message}"
        );
    }
    // A listener may be called so where there is no health socket.
    let listen =
        json!([{ "name": "http", "stream": "/run/a" }, { "name": "health", "stream": "/run/b" }]);
    spec(json!({ "listen": listen, "drainGrace": "89s" })).unwrap();
}
