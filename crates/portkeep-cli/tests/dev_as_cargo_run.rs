//! What `cargo run` gives an app, `portkeep dev` gives it: the place where it was built, and the runner.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use support::session::{APP, ITSELF, Session, manifest};

const PLAIN: &str =
    "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n";

/// The app, which says its version, its process and where it runs.
fn telling(app: &str) -> String {
    let place = "std::env::current_exe().unwrap().parent().unwrap().display()";
    app.replace(
        "{VERSION}\")",
        &format!("{{VERSION}} {{}} {{}}\", std::process::id(), {place})"),
    )
}

struct Told {
    version: String,
    process: i32,
    place: PathBuf,
}

/// What `version` says once it answers.
#[track_caller]
fn told(session: &Session, version: &str) -> Told {
    let mut told = None;
    session.wait(&format!("{version} answers"), || {
        let body = session.get().unwrap_or_default();
        let words: Vec<_> = body.splitn(3, ' ').collect();
        if words.len() == 3 && words[0] == version {
            told = Some(Told {
                version: words[0].to_owned(),
                process: words[1].parse().unwrap(),
                place: words[2].into(),
            });
        }
        told.is_some()
    });
    told.unwrap()
}

/// The names of ours in a directory.
fn names(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).unwrap().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.to_str().unwrap().contains(".portkeep-"))
        .collect()
}

#[test]
fn each_version_runs_where_it_was_built_also_the_one_that_is_rolled_back_to() {
    let app = telling(APP);
    let files = [
        ("hello/Cargo.toml", &*manifest("")),
        ("hello/src/main.rs", &app),
    ];
    let session = Session::start(&files, &[]);
    let place = told(&session, "one").place;
    let target = session.path("hello/target").canonicalize().unwrap();
    assert!(place.starts_with(&target), "{}", place.display());
    session.edit("hello/src/main.rs", "\"one\"", "\"two\"");
    assert_eq!(told(&session, "two").place, place);
    // The newest file there is another version's.
    session.run(&["rollback", "hello"]);
    let back = told(&session, "one");
    assert_eq!(back.place, place);
    // So is it when that is started again: nothing newer takes its place.
    #[expect(clippy::disallowed_methods, reason = "it is the number that serves")]
    kill_process(Pid::from_raw(back.process).unwrap(), Signal::KILL).unwrap();
    session.wait("it is started again", || {
        let body = session.get().unwrap_or_default();
        !body.is_empty() && !body.contains(&format!(" {} ", back.process))
    });
    let again = told(&session, "one");
    assert_eq!((again.version.as_str(), &again.place), ("one", &place));
    assert!(!names(&place).is_empty());
    // What cargo made is gone: the kept ones run.
    fs::remove_dir_all(&target).unwrap();
    session.run(&["rollback", "hello"]);
    assert_ne!(told(&session, "two").place, place);
    session.edit("hello/src/main.rs", "\"two\"", "\"three\"");
    assert_eq!(told(&session, "three").place, place);
    let session = session.end();
    assert!(names(&place).is_empty(), "{}", session.log());
}

#[test]
fn a_version_that_opens_its_port_itself_runs_where_it_was_built_also_the_one_that_returns() {
    let files = [
        ("hello/Cargo.toml", PLAIN),
        ("hello/src/main.rs", &telling(ITSELF)),
    ];
    let session = Session::start_self_binding(&files, &[]);
    let first = told(&session, "one");
    let target = session.path("hello/target").canonicalize().unwrap();
    assert!(first.place.starts_with(target), "{}", first.place.display());
    // It answers before it is known to have come up.
    session.wait("it serves", || session.count("generation 1 serves") > 0);
    session.expect_said("did not take over", || {
        session.edit("hello/src/main.rs", "// start", "panic!(\"no\");");
    });
    let returned = told(&session, "one");
    assert_ne!(returned.process, first.process);
    assert_eq!(returned.place, first.place);
    let session = session.end();
    assert!(names(&first.place).is_empty(), "{}", session.log());
}

#[test]
fn the_runner_of_cargos_configuration_starts_the_app() {
    let said = |app: &str| {
        app.replace(
            "{VERSION}\")",
            "{}\", std::env::var(\"VIA\").unwrap_or(VERSION.to_owned()))",
        )
    };
    let configuration = "[target.'cfg(unix)']\nrunner = [\"./through\", \"the runner\"]\n";
    let script = "#!/bin/sh\nVIA=$1; export VIA; shift; exec \"$@\"\n";
    let prepare = |home: &Path| {
        use std::os::unix::fs::PermissionsExt;
        let script = home.join("hello/through");
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let files = [
        ("hello/Cargo.toml", &*manifest("")),
        ("hello/src/main.rs", &said(APP)),
        ("hello/.cargo/config.toml", configuration),
        ("hello/through", script),
    ];
    let session = Session::start_where(&files, &[], prepare);
    session.expect_answer("the runner");
    assert!(
        session.log().contains("it has to `exec` the app"),
        "{}",
        session.log()
    );
    drop(session);
    let files = [
        ("hello/Cargo.toml", PLAIN),
        ("hello/src/main.rs", &said(ITSELF)),
        (
            "hello/.cargo/config.toml",
            "[target.'cfg(unix)']\nrunner = \"env VIA=runner\"\n",
        ),
    ];
    let session = Session::start_self_binding(&files, &[]);
    session.expect_answer("runner");
}
