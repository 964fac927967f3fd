//! `sandbox: "strict"` locks the app in, and `allow` opens what it says.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager};
use serde_json::{Value, json};

/// What `systemd-analyze security` may say of the strict sandbox at most: 0 is locked in, 10 is open.
fn highest_exposure(manager: Manager) -> f64 {
    match manager {
        Manager::System => 0.5,
        // It cannot give a user of its own, and more that `portkeep units` tells.
        Manager::User => 4.0,
    }
}

#[test]
fn systemd_rates_the_strict_sandbox_safe() {
    let app = App::named("safe").serve(&Behaviour::version("v1"));
    let unit = app.unit("@1.service");
    let words = [app.manager().flag(), "security", "--no-pager", &unit];
    let rated = run("systemd-analyze", words).expect_success();
    let last = rated.stdout.lines().last().unwrap_or_default();
    let exposure = last
        .split_whitespace()
        .find_map(|word| word.parse::<f64>().ok());
    let exposure = exposure.unwrap_or_else(|| panic!("no rating in {last:?}"));
    println!("measured: systemd-analyze security of sandbox strict: {exposure}");
    assert!(exposure <= highest_exposure(app.manager()), "{rated}");
}

/// A directory that everybody may write to, with a name that means something to systemd's parsers.
fn open_directory(manager: Manager) -> PathBuf {
    let directory = manager.apps_directory().join("50% \"off\"; $x 'y'\\z");
    fs::create_dir_all(&directory).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
    directory
}

/// What the app says when it tries something. The query needs no more than this encoding.
fn tried(app: &App, what: &str, field: &str, value: &str) -> String {
    let encoded: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
    app.get(&format!("/try/{what}?{field}={encoded}")).body
}

#[test]
fn what_is_locked_is_opened_by_its_field() {
    let manager = Manager::of_this_process();
    let directory = open_directory(manager);
    let path = directory.to_str().unwrap();
    let address = "127.0.0.1:8080";
    {
        let app = App::named("locked").serve(&Behaviour::version("v1"));
        assert_ne!(tried(&app, "write", "path", path), "ok");
        assert_ne!(tried(&app, "connect", "to", address), "ok");
        assert_eq!(app.get("/env/STATE_DIRECTORY").body, "null");
    }
    let allow = json!({ "writablePaths": [path], "network": "loopback", "stateDirectory": true });
    let app = App::named("locked")
        .with("allow", allow)
        .serve(&Behaviour::version("v1"));
    assert_eq!(tried(&app, "write", "path", path), "ok");
    assert_eq!(tried(&app, "connect", "to", address), "ok");
    // Both generations have the same directory and may write there.
    for version in ["v2", "v3"] {
        let state: Value = serde_json::from_str(&app.get("/env/STATE_DIRECTORY").body).unwrap();
        assert_eq!(
            tried(&app, "write", "path", state.as_str().unwrap()),
            "ok",
            "{state}"
        );
        app.publish(&Behaviour::version(version));
        app.reload();
        app.wait_for_version(version, Duration::from_secs(20));
    }
    fs::remove_dir(&directory).unwrap();
}

#[test]
fn an_app_with_every_lock_open_serves_and_is_reloaded() {
    let manager = Manager::of_this_process();
    let allow = json!({
        "network": "any", "writablePaths": [manager.apps_directory()], "stateDirectory": true, "cacheDirectory": true,
        "home": "read-write", "devices": ["/dev/null"], "capabilities": ["CAP_NET_BIND_SERVICE"], "user": "dev",
        "users": true, "sharedTmp": true, "sharedMounts": true, "processes": true, "systemCalls": ["@mount", "bpf"],
        "architectures": ["x86"], "namespaces": true, "realtime": true, "setuid": true, "jit": true, "personality": true,
        "clock": true, "controlGroups": true, "hostname": true, "kernelLogs": true, "kernelModules": true,
        "kernelTunables": true, "lastingIpc": true, "sharedKeyring": true, "umask": "0022",
    });
    let app = App::named("open")
        .with("allow", allow)
        .serve(&Behaviour::version("v1"));
    let unit = app.unit("@1.service");
    let expected: &[(&str, &str)] = match manager {
        Manager::System => &[
            ("User", "dev"),
            ("DynamicUser", "no"),
            ("PrivateDevices", "no"),
            ("NoNewPrivileges", "no"),
        ],
        Manager::User => &[],
    };
    let both = [
        ("PrivateTmp", "no"),
        ("ProtectProc", "default"),
        ("MemoryDenyWriteExecute", "no"),
        ("RestrictRealtime", "no"),
        ("KeyringMode", "shared"),
        ("UMask", "0022"),
    ];
    for (property, value) in expected.iter().chain(&both) {
        assert_eq!(manager.property(&unit, property), *value, "{property}");
    }
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_version("v2", Duration::from_secs(20));
}

#[test]
fn units_tells_what_a_users_manager_cannot_do() {
    let directory = tempfile::tempdir().unwrap();
    let spec = directory.path().join("portkeep.json");
    fs::write(
        &spec,
        r#"{"name":"a","exec":["/bin/true"],"listen":[{"stream":"127.0.0.1:8080"}]}"#,
    )
    .unwrap();
    let out = directory.path().join("out");
    let words = [
        "units",
        "--spec",
        spec.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let told = run("portkeep", words).expect_success();
    for directive in ["DynamicUser=", "PrivateDevices=", "ProtectHome="] {
        told.expect_mention(&[directive]);
    }
}
