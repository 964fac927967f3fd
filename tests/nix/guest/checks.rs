//! What is asked before a switch.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

use portkeep_tests::command::run;
use portkeep_tests::{Outcome, request, wait_until};

use crate::installed::Installed;
use crate::{ANSWER, RELEASES, address, version};

/// A plain service that becomes an app: a switch would reload it by the app's command.
#[test]
fn a_unit_of_somebody_else_is_told_before_the_switch() {
    let app = Installed::new("nixed");
    let plain = app.directory.join("nixed.service");
    fs::write(&plain, "[Service]\nExecStart=sleep infinity\n").unwrap();
    app.systemctl(&["daemon-reload"]);
    let check = |verb: &str| {
        let new = format!("{RELEASES}/v1");
        let script = "/checkout/nix/foreign-units.sh";
        run(
            "bash",
            [
                script,
                verb,
                "system",
                "/etc/systemd/system",
                &new,
                "another",
                "nixed",
            ],
        )
    };
    let _ = check("check").expect_success();
    app.systemctl(&["start", "nixed.service"]);
    let told = [
        "nixed.service runs and is not portkeep's",
        "systemctl stop nixed.service",
    ];
    check("check").expect_failure().expect_mention(&told);
    check("tell").expect_success().expect_mention(&told);
    app.systemctl(&["stop", "nixed.service"]);
    let _ = check("check").expect_success();
    fs::remove_file(plain).unwrap();
    app.systemctl(&["daemon-reload"]);
    // An instance of a template, and a unit from another place.
    let elsewhere = Path::new("/run/systemd/system/nixed@.service");
    fs::create_dir_all("/run/systemd/system").unwrap();
    fs::write(
        elsewhere,
        "[Unit]\nX-Portkeep-App=nixed\n[Service]\nExecStart=sleep infinity\n",
    )
    .unwrap();
    app.systemctl(&["daemon-reload"]);
    app.systemctl(&["start", "nixed@7.service"]);
    check("check")
        .expect_failure()
        .expect_mention(&["nixed@7.service runs and is of another place"]);
    app.systemctl(&["stop", "nixed@7.service"]);
    fs::remove_file(elsewhere).unwrap();
    app.systemctl(&["daemon-reload"]);
}

#[test]
fn ones_own_app_is_not_in_the_way() {
    let mut app = Installed::new("nixed");
    app.switch_to("v1");
    assert_eq!(version(), "v1");
    let new = format!("{RELEASES}/v2");
    let script = "/checkout/nix/foreign-units.sh";
    let words = [
        script,
        "check",
        "system",
        "/etc/systemd/system",
        &new,
        "nixed",
    ];
    let _ = run("bash", words).expect_success();
}

/// One that cannot look must not find that all is well.
#[test]
fn a_check_without_its_tools_refuses() {
    let mut app = Installed::new("nixed");
    app.switch_to("v1");
    assert_eq!(version(), "v1");
    let new = format!("{RELEASES}/moved");
    let etc = "/etc/systemd/system";
    let scripts: [(&str, &[&str], &[&str]); 2] = [
        (
            "changed-listen.sh",
            &["grep", "sed", "systemctl"],
            &["check", "system", etc, &new, "nixed"],
        ),
        (
            "foreign-units.sh",
            &["grep", "systemctl"],
            &["check", "system", etc, &new, "nixed"],
        ),
    ];
    for (script, tools, words) in scripts {
        for missing in tools {
            let path = tempfile::tempdir().unwrap();
            for tool in ["grep", "sed", "sleep", "systemctl"] {
                let there = Path::new("/usr/bin").join(tool);
                if tool != *missing {
                    symlink(there, path.path().join(tool)).unwrap();
                }
            }
            let path = format!("PATH={}", path.path().display());
            let script = format!("/checkout/nix/{script}");
            let words = [&[&path, "/bin/bash", &script][..], words].concat();
            run("/usr/bin/env", words)
                .expect_failure()
                .expect_mention(&[&format!("{missing} is not in PATH")]);
        }
    }
}

#[test]
fn other_addresses_are_told_before_the_switch() {
    let mut app = Installed::new("nixed");
    app.switch_to("v1");
    let check = |verb: &str, release: &str| {
        let new = format!("{RELEASES}/{release}");
        let words = [
            "/checkout/nix/changed-listen.sh",
            verb,
            "system",
            "/etc/systemd/system",
            &new,
            "nixed",
            "another",
        ];
        run("bash", words)
    };
    let _ = check("check", "v2").expect_success();
    check("check", "moved").expect_failure().expect_mention(&[
        "nixed.socket ListenStream=127.0.0.1:8080",
        "nixed.socket ListenStream=127.0.0.1:9090",
        "systemctl stop nixed.target",
        "services.portkeep.apps.nixed.restartSocket = true;",
    ]);
    check("tell", "moved").expect_success().expect_mention(&[
        "nixed.socket ListenStream=127.0.0.1:9090",
        "a switch is refused",
    ]);
    // It only told.
    assert_eq!(version(), "v1");

    let _ = check("stop", "moved").expect_success();
    assert_eq!(request(address(), "/", ANSWER), Outcome::Refused);
    app.switch_to("moved");
    let moved = SocketAddr::from(([127, 0, 0, 1], 9090));
    assert_eq!(request(moved, "/", ANSWER).expect_answer().version, "v2");
    // Closed, it may change; the sockets close after the generations have drained.
    app.systemctl(&["stop", "nixed.target"]);
    wait_until("the port is closed", ANSWER, || {
        (check("check", "v1").code == Some(0)).then_some(())
    });
}
