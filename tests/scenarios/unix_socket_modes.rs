//! A Unix socket lets in whom its mode says; the socket over which connections move lets in nobody else.
//!
//! Other users are `dev` and `nobody` of the guest. As a user's manager runs these, there is nobody else that a test could
//! be: then the file says it.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour, Manager, Steady, wait_until};
use serde_json::json;

/// Connects to the path that follows the kind, and says why not.
const CONNECT: &str = r#"use Socket;
    socket(my $s, AF_UNIX, $ARGV[0] eq "stream" ? SOCK_STREAM : SOCK_SEQPACKET, 0) or die "$!\n";
    connect($s, sockaddr_un($ARGV[1])) or die "$!\n";"#;

/// Tries to connect as somebody else, with no group but that user's own.
fn connect_as(user: &str, kind: &str, path: &Path) -> Finished {
    let path = path.to_str().unwrap();
    let words = ["-u", user, "--", "perl", "-e", CONNECT, kind, path];
    run("runuser", words)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A directory that everybody may enter.
fn open_directory(manager: Manager) -> PathBuf {
    let directory = manager.apps_directory().join("doors");
    fs::create_dir_all(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn a_unix_socket_lets_in_whom_its_mode_says() {
    let manager = Manager::of_this_process();
    let directory = open_directory(manager);
    let path = |name: &str| directory.join(name);
    // The group of `dev` is of the same name, and `nobody` is not in it.
    let app = App::named("doors")
        .with(
            "listen",
            json!([
                { "name": "http", "stream": "127.0.0.1:8080" },
                { "name": "closed", "stream": path("closed") },
                { "name": "shared", "stream": path("shared"), "group": "dev" },
                { "name": "open", "stream": path("open"), "mode": "0666" },
                { "name": "log", "datagram": path("log") },
            ]),
        )
        .serve(&Behaviour::version("v1"));
    for (name, expected) in [
        ("closed", 0o600),
        ("shared", 0o660),
        ("open", 0o666),
        ("log", 0o600),
    ] {
        assert_eq!(mode(&path(name)), expected, "{name}");
    }
    if manager == Manager::System {
        for (user, name, lets_in) in [
            ("dev", "closed", false),
            ("nobody", "closed", false),
            ("dev", "shared", true),
            ("nobody", "shared", false),
            ("dev", "open", true),
            ("nobody", "open", true),
        ] {
            let tried = connect_as(user, "stream", &path(name));
            if lets_in {
                let _ = tried.expect_success();
            } else {
                tried
                    .expect_failure()
                    .expect_mention(&["Permission denied"]);
            }
        }
    }
    drop(app);
    assert!(!path("closed").exists(), "the socket's file stays behind");
}

#[test]
fn nobody_else_reaches_the_move_socket() {
    let app = App::named("quiet").serve(&Behaviour::version("v1"));
    let socket = app.run_directory().join("move");
    assert_eq!(mode(&socket), 0o600);
    // Connections move all the same, also after the file was given away.
    let steady = Steady::start(app.address(), &[(5, Duration::ZERO)]);
    for version in ["v2", "v3"] {
        app.publish(&Behaviour::version(version));
        app.reload();
        app.wait_for_version(version, Duration::from_secs(10));
    }
    steady.finish().expect_all(5);
    assert_eq!(mode(&socket), 0o600);
    if app.manager() == Manager::User {
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(fs::symlink_metadata(&socket).unwrap().uid(), own);
        return;
    }
    for user in ["dev", "nobody"] {
        for _ in 0..20 {
            connect_as(user, "seqpacket", &socket)
                .expect_failure()
                .expect_mention(&["Permission denied"]);
        }
    }
    let journal = app.manager().journal(&app.unit("*"));
    assert!(!journal.stdout.contains("was refused"), "{journal}");
    // And it starts nothing that was stopped.
    let _ = app.systemctl("stop").expect_success();
    wait_until("it has ended", Duration::from_secs(10), || {
        app.generations().is_empty().then_some(())
    });
    connect_as("dev", "seqpacket", &socket)
        .expect_failure()
        .expect_mention(&["Permission denied"]);
    let state = app.manager().property(&app.unit(".service"), "ActiveState");
    assert_eq!(state, "inactive");
    // The port does, as ever.
    assert_eq!(app.get("/").version, "v3");
}
