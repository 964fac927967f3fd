//! Specs that can be read, but not installed.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use portkeep_spec::{Manager, RenderOptions, Spec, render};
use serde_json::{Value, json};

fn spec(allow: Value) -> Result<Spec, String> {
    let spec = json!({ "name": "a", "exec": ["/bin/a"], "listen": [{ "stream": "127.0.0.1:80" }], "allow": allow });
    Spec::from_json(&spec.to_string()).map_err(|error| error.to_string())
}

/// What is installed is longer than what was written.
#[test]
fn what_is_installed_can_be_read_again() {
    let rendered = |sources: usize| {
        let mut spec = spec(json!({})).unwrap();
        spec.sources = vec!["/srv/a/long/path/to/something".into(); sources];
        let options = RenderOptions {
            helper: "/bin/portkeep".into(),
            spec_path: "/a.json".into(),
            manager: Manager::User,
        };
        render(&spec, &options)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    rendered(20_000).unwrap();
    let message = rendered(40_000).unwrap_err();
    assert!(
        message.starts_with("the spec, written out: is ")
            && message.ends_with("at most 1048576 are possible"),
        "{message}"
    );
}

#[test]
fn no_app_has_a_directory_of_ours_or_of_the_machines() {
    let rendered = |name: &str, allow: Value, manager| {
        let mut spec = spec(allow).unwrap();
        spec.name = name.parse().unwrap();
        let options = RenderOptions {
            helper: "/bin/portkeep".into(),
            spec_path: "/a.json".into(),
            manager,
        };
        render(&spec, &options)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for manager in [Manager::System, Manager::User] {
        for name in ["portkeep", "portkeep-local"] {
            assert_eq!(
                rendered(name, json!({}), manager).unwrap_err(),
                format!("name: {name:?} is the name of portkeep's own files; choose another name")
            );
        }
        for name in ["systemd", "dpkg", "sudo", "private", "dbus", "apt"] {
            rendered(name, json!({}), manager).unwrap();
            for (field, parent) in [
                ("stateDirectory", "/var/lib"),
                ("cacheDirectory", "/var/cache"),
            ] {
                assert_eq!(
                    rendered(name, json!({ field: true }), manager).unwrap_err(),
                    format!(
                        "allow.{field}: the app would be given {parent}/{name}, which belongs to the machine; rename the app"
                    )
                );
            }
        }
        rendered("portkeep-demo", json!({ "stateDirectory": true }), manager).unwrap();
    }
}
