//! Each lock of the sandbox has one field that opens it, and opening one opens no other.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::collections::BTreeSet;

use portkeep_spec::{Manager, RenderOptions, Sandbox, Spec, render};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::arbitrary::{config, path};
use support::reader::{simplified, specifiers};

/// Field, a value that opens it, the directives that go, and those that come or change: in the system manager.
const LOCKS: [(&str, &str, &[&str], &[&str]); 27] = [
    (
        "network",
        r#""loopback""#,
        &["PrivateNetwork"],
        &["RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"],
    ),
    (
        "network",
        r#""any""#,
        &["PrivateNetwork", "IPAddressDeny", "IPAddressAllow"],
        &["RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"],
    ),
    (
        "writablePaths",
        r#"["/srv/a"]"#,
        &[],
        &["ReadWritePaths=/srv/a"],
    ),
    ("stateDirectory", "true", &[], &["StateDirectory=a"]),
    ("cacheDirectory", "true", &[], &["CacheDirectory=a"]),
    ("home", r#""read-only""#, &[], &["ProtectHome=read-only"]),
    (
        "devices",
        r#"["/dev/fuse"]"#,
        &["PrivateDevices"],
        &["DeviceAllow=/dev/fuse rw"],
    ),
    (
        "capabilities",
        r#"["CAP_NET_ADMIN"]"#,
        &["PrivateUsers"],
        &[
            "CapabilityBoundingSet=CAP_NET_ADMIN",
            "AmbientCapabilities=CAP_NET_ADMIN",
        ],
    ),
    ("user", r#""deploy""#, &["DynamicUser"], &["User=deploy"]),
    ("users", "true", &["PrivateUsers"], &[]),
    ("sharedMounts", "true", &["PrivateMounts"], &[]),
    ("processes", "true", &["ProtectProc", "ProcSubset"], &[]),
    (
        "systemCalls",
        r#"["@mount", "bpf"]"#,
        &[],
        &["SystemCallFilter=@mount bpf"],
    ),
    (
        "architectures",
        r#"["x86"]"#,
        &[],
        &["SystemCallArchitectures=native x86"],
    ),
    ("namespaces", "true", &["RestrictNamespaces"], &[]),
    (
        "realtime",
        "true",
        &["RestrictRealtime"],
        &["SystemCallFilter=~@privileged"],
    ),
    ("jit", "true", &["MemoryDenyWriteExecute"], &[]),
    ("personality", "true", &["LockPersonality"], &[]),
    ("clock", "true", &["ProtectClock"], &[]),
    ("controlGroups", "true", &["ProtectControlGroups"], &[]),
    ("hostname", "true", &["ProtectHostname"], &[]),
    ("kernelLogs", "true", &["ProtectKernelLogs"], &[]),
    ("kernelModules", "true", &["ProtectKernelModules"], &[]),
    ("kernelTunables", "true", &["ProtectKernelTunables"], &[]),
    ("sharedKeyring", "true", &[], &["KeyringMode=shared"]),
    ("umask", r#""0027""#, &[], &["UMask=0027"]),
    // With a user of the machine only.
    (
        "user",
        r#""x", "sharedTmp": true, "setuid": true, "lastingIpc": true, "home": "read-write""#,
        &[
            "DynamicUser",
            "PrivateTmp",
            "NoNewPrivileges",
            "RestrictSUIDSGID",
            "PrivateUsers",
            "RemoveIPC",
            "ProtectHome",
        ],
        &["User=x"],
    ),
];

fn spec(allow: Value) -> Result<Spec, String> {
    let spec = json!({ "name": "a", "exec": ["/bin/a"], "listen": [{ "stream": "127.0.0.1:80" }], "allow": allow });
    Spec::from_json(&spec.to_string()).map_err(|error| error.to_string())
}

fn sandbox(allow: Value, manager: Manager) -> Result<BTreeSet<String>, String> {
    let options = RenderOptions {
        helper: "/bin/portkeep".into(),
        spec_path: "/a.json".into(),
        manager,
    };
    let units = render(&spec(allow)?, &options).map_err(|error| error.to_string())?;
    let unit = units
        .iter()
        .find(|unit| unit.path.ends_with("a@.service.d/50-sandbox.conf"))
        .unwrap();
    let lines = unit
        .text
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

#[test]
fn each_field_opens_its_lock_and_no_other() {
    let strict = sandbox(json!({}), Manager::System).unwrap();
    for (field, value, gone, came) in LOCKS {
        let allow: Value = serde_json::from_str(&format!("{{\"{field}\": {value}}}")).unwrap();
        let open = sandbox(allow, Manager::System).unwrap();
        let keys = |lines: &[&String]| -> BTreeSet<String> {
            lines
                .iter()
                .map(|line| line.split_once('=').unwrap().0.to_owned())
                .collect()
        };
        let removed: Vec<_> = strict.difference(&open).collect();
        let added: Vec<_> = open.difference(&strict).collect();
        assert_eq!(
            added
                .iter()
                .map(|line| line.as_str())
                .collect::<BTreeSet<_>>(),
            came.iter().copied().collect(),
            "{field}"
        );
        // A directive that only has another value is not gone.
        let changed = keys(&added);
        let gone: BTreeSet<String> = gone.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(
            keys(&removed)
                .difference(&changed)
                .cloned()
                .collect::<BTreeSet<_>>(),
            gone,
            "{field}"
        );
    }
}

#[test]
fn every_directive_of_the_sandbox_can_be_opened_or_changed() {
    let strict = sandbox(json!({}), Manager::System).unwrap();
    let mut locked: BTreeSet<&str> = strict
        .iter()
        .map(|line| line.split_once('=').unwrap().0)
        .collect();
    for (_, _, gone, came) in LOCKS {
        for key in gone
            .iter()
            .copied()
            .chain(came.iter().map(|line| line.split_once('=').unwrap().0))
        {
            locked.remove(key);
        }
    }
    // The first names the app; the other two have exceptions instead: writablePaths, devices.
    assert_eq!(
        locked,
        ["DevicePolicy", "ProtectSystem", "X-Portkeep-App"].into()
    );
}

#[test]
fn every_field_has_its_lock() {
    let fields = serde_json::to_value(portkeep_spec::Allow::default()).unwrap();
    for field in fields.as_object().unwrap().keys() {
        let known = LOCKS
            .iter()
            .any(|(name, value, _, _)| name == field || value.contains(&format!("\"{field}\"")));
        assert!(known, "{field}");
    }
}

#[test]
fn what_the_system_manager_keeps_for_its_own_users_needs_another() {
    for field in ["sharedTmp", "setuid", "lastingIpc"] {
        let allow = json!({ field: true });
        let message = sandbox(allow.clone(), Manager::System).unwrap_err();
        assert!(
            message.starts_with(&format!("allow.{field}: needs allow.user")),
            "{message}"
        );
        sandbox(allow, Manager::User).unwrap();
    }
}

/// The drop-in of an app without a sandbox.
fn off(allow: Value, manager: Manager) -> Result<Option<String>, String> {
    let mut spec = spec(allow)?;
    spec.sandbox = Sandbox::Off;
    let options = RenderOptions {
        helper: "/bin/portkeep".into(),
        spec_path: "/a.json".into(),
        manager,
    };
    let units = render(&spec, &options).map_err(|error| error.to_string())?;
    let drop_in = units
        .into_iter()
        .find(|unit| unit.path.ends_with("a@.service.d/50-sandbox.conf"));
    Ok(drop_in.map(|unit| unit.text))
}

#[test]
fn without_a_sandbox_the_app_is_root_only_if_the_spec_says_so() {
    assert_eq!(
        off(json!({}), Manager::System).unwrap_err(),
        "allow.user: is missing: with sandbox \"off\" the system manager would run the app as root; write the user that it \
         is to run as, \"root\" if that is meant"
    );
    for user in ["deploy", "root", "1000"] {
        let text = off(json!({ "user": user }), Manager::System)
            .unwrap()
            .unwrap();
        assert!(
            text.lines().any(|line| line == format!("User={user}")),
            "{text}"
        );
        assert!(
            text.lines().any(|line| line == "X-Portkeep-App=a"),
            "{text}"
        );
    }
    for allow in [json!({}), json!({ "user": "deploy" })] {
        assert_eq!(off(allow, Manager::User), Ok(None));
    }
    for (user, is_root) in [
        ("root", true),
        ("0", true),
        ("00", true),
        ("10", false),
        ("deploy", false),
    ] {
        assert_eq!(
            spec(json!({ "user": user })).unwrap().allow.is_root(),
            is_root,
            "{user}"
        );
    }
    assert!(!spec(json!({})).unwrap().allow.is_root());
}

#[test]
fn without_a_sandbox_nothing_can_be_opened() {
    for (field, value, ..) in LOCKS.iter().filter(|(field, ..)| *field != "user") {
        let allow = format!("{{\"user\": \"deploy\", \"{field}\": {value}}}");
        for manager in [Manager::System, Manager::User] {
            let message = off(serde_json::from_str(&allow).unwrap(), manager).unwrap_err();
            assert_eq!(
                message,
                format!(
                    "allow.{field}: has no effect with sandbox \"off\", which locks nothing; remove it, or write sandbox \"strict\""
                )
            );
        }
    }
    // What is written as it is by default is not told from what is not written.
    let default = json!({ "user": "deploy", "jit": false, "network": "none", "devices": [] });
    off(default, Manager::System).unwrap();
}

#[test]
fn values_that_would_be_directives_are_refused() {
    for (field, values) in [
        (
            "capabilities",
            vec![
                "",
                "CAP_",
                "cap_x",
                "CAP_X\nUser=root",
                "CAP_A CAP_B",
                "~CAP_A",
            ],
        ),
        (
            "systemCalls",
            vec![
                "",
                "@",
                "~@mount",
                "a b",
                "a:EPERM",
                "a\nExecStart=/bin/sh",
                "%i",
            ],
        ),
        ("architectures", vec!["", "x86 arm", "x86\n"]),
        (
            "devices",
            vec![
                "",
                "/etc/passwd",
                "/dev/a b",
                "/dev/a\nUser=root",
                "/dev/../etc/passwd",
                "char-tty",
            ],
        ),
        ("writablePaths", vec!["", "/a\nUser=root", "/a\t", "/a\\"]),
    ] {
        for value in values {
            let message = sandbox(json!({ field: [value] }), Manager::System).unwrap_err();
            assert!(
                message.starts_with(&format!("allow.{field}")),
                "{value:?}: {message}"
            );
        }
    }
    for (field, values) in [
        ("user", vec!["", "a b", "-a", "root\nX=1", "%i", "ROOT"]),
        ("umask", vec!["", "22", "8888", "1022", "0022 ", "00022"]),
    ] {
        for value in values {
            let message = sandbox(json!({ field: value }), Manager::System).unwrap_err();
            assert!(
                message.starts_with(&format!("allow.{field}")),
                "{value:?}: {message}"
            );
        }
    }
}

/// One word of a list, as `extract_first_word` reads it.
fn word(value: &str) -> String {
    let mut word = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.push(chars.next().expect("nothing behind a backslash")),
            ' ' | '\t' | '"' | '\'' => panic!("more than one word, or a quote: {value}"),
            c => word.push(c),
        }
    }
    word
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nasty_paths_come_back_as_they_were(path in path()) {
        let lines = sandbox(json!({ "writablePaths": [path] }), Manager::User).unwrap();
        let read: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("ReadWritePaths=")).collect();
        assert_eq!(read.len(), 1);
        assert_eq!(specifiers(&word(read[0])), simplified(path.to_str().unwrap()));
    }
}
