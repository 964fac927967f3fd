//! `portkeep dev` on projects that turn out to be, or become, something else than they seemed.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use support::session::{APP, ITSELF, Session, manifest};

const PLAIN: &str =
    "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n";
const FROM_NOW_ON: &str = "the app opens its port itself from now on";

#[test]
fn the_binary_that_is_run_tells_how_it_comes_to_its_port() {
    let files = [
        ("hello/Cargo.toml", PLAIN),
        ("hello/src/bin/a.rs", APP),
        ("hello/src/bin/b.rs", ITSELF),
    ];
    let session = Session::start_self_binding(&files, &["--bin", "b"]);
    session.expect_answer("one");
    let log = session.end().log();
    assert!(log.contains("this app opens its port itself"), "{log}");
}

#[test]
fn who_wants_the_port_that_is_held_for_it_opens_it_itself_from_then_on() {
    // By its sources it takes what is passed.
    let app = format!("// LISTEN_FDS is not what this takes.\n{ITSELF}");
    let files = [("hello/Cargo.toml", PLAIN), ("hello/src/main.rs", &app)];
    let session = Session::start_self_binding(&files, &[]);
    session.wait(FROM_NOW_ON, || session.count(FROM_NOW_ON) > 0);
    session.expect_answer("one");
    session.edit("hello/src/main.rs", "\"one\"", "\"one\"");
}

#[test]
fn who_listens_elsewhere_is_told_where_and_opens_its_port_itself_from_then_on() {
    let app = format!("// LISTEN_FDS is not what this takes.\n{ITSELF}");
    let app = app.replace("HERE", "127.0.0.1:0");
    let manifest = format!("{PLAIN}[package.metadata.portkeep]\nstartTimeout = \"3s\"\n");
    let files = [
        ("hello/Cargo.toml", &*manifest),
        ("hello/src/main.rs", &app),
    ];
    let session = Session::start_self_binding(&files, &[]);
    session.wait(FROM_NOW_ON, || session.count(FROM_NOW_ON) > 0);
    let told = "is open; the app opened it itself";
    session.wait(told, || session.count(told) > 0);
    let log = session.end().log();
    assert!(log.contains("it listens at 127.0.0.1:"), "{log}");
}

#[test]
fn an_app_that_begins_to_take_sockets_is_held_the_port_from_then_on() {
    let files = [("hello/Cargo.toml", PLAIN), ("hello/src/main.rs", ITSELF)];
    let session = Session::start_self_binding(&files, &[]);
    session.expect_answer("one");
    let words = "the app takes the sockets that are held for it from now on";
    session.expect_said(words, || {
        session.write("hello/src/main.rs", &APP.replace("\"one\"", "\"two\""));
    });
    session.expect_answer("two");
}

#[test]
fn variables_of_the_project_are_read_again_whatever_git_ignores() {
    let app = APP.replace("{VERSION}", "{}").replace(
        "\\r\\n\\r\\n{}\")",
        "\\r\\n\\r\\n{}\", std::env::var(\"TITLE\").unwrap())",
    );
    let files = [
        ("hello/Cargo.toml", &*manifest("")),
        ("hello/src/main.rs", &app),
        ("hello/.gitignore", ".env\n"),
        ("hello/.env", "TITLE=My App\n"),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("My App");
    session.expect_said("/hello/.env:2: `no value`", || {
        session.write("hello/.env", "TITLE=Your App\nno value\n");
    });
    session.expect_answer("Your App");
}

#[test]
fn a_manifest_that_cannot_be_read_changes_nothing_until_it_can() {
    let good = manifest("");
    let files = [("hello/Cargo.toml", &*good), ("hello/src/main.rs", APP)];
    let session = Session::start(&files, &[]);
    session.expect_answer("one");
    session.expect_said("the build failed", || {
        session.write("hello/Cargo.toml", "[package\n");
    });
    session.expect_answer("one");
    session.edit("hello/src/main.rs", "\"one\"", "\"two\"");
    session.write("hello/Cargo.toml", &good);
    session.expect_answer("two");
    // What the project is has changed as well.
    session.expect_said("everything is started again", || {
        session.write("hello/Cargo.toml", &manifest("drainTimeout = \"7s\""));
    });
    session.expect_answer("two");
}

#[test]
fn files_are_looked_at_again_and_again_where_that_is_asked_for() {
    let files = [
        ("hello/Cargo.toml", &*manifest("")),
        ("hello/src/main.rs", APP),
    ];
    let session = Session::start(&files, &["--poll"]);
    session.expect_answer("one");
    session.edit("hello/src/main.rs", "\"one\"", "\"two\"");
    session.expect_answer("two");
}

#[test]
fn a_project_that_is_moved_away_is_named_and_goes_on_where_it_was() {
    let files = [
        ("hello/Cargo.toml", &*manifest("")),
        ("hello/src/main.rs", APP),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("one");
    let (here, away) = (session.path("hello"), session.path("away"));
    session.expect_said("/hello is gone: it was moved or removed", || {
        std::fs::rename(&here, &away).unwrap();
    });
    session.expect_answer("one");
    std::fs::rename(&away, &here).unwrap();
    session.wait_for_rest();
    session.edit("hello/src/main.rs", "\"one\"", "\"two\"");
    session.expect_answer("two");
}

#[test]
fn a_project_that_is_deleted_and_made_again_is_served_again() {
    let files = [
        ("hello/Cargo.toml", &*manifest("")),
        ("hello/src/main.rs", APP),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("one");
    session.expect_said("/hello is gone: it was moved or removed", || {
        // A build that still goes on may write into it meanwhile.
        session.wait("it is deleted", || {
            std::fs::remove_dir_all(session.path("hello")).is_ok()
        });
    });
    session.expect_answer("one");
    for (name, text) in files {
        session.write(name, &text.replace("\"one\"", "\"two\""));
    }
    session.expect_answer("two");
}

#[test]
fn a_second_session_on_another_path_of_the_project_is_refused() {
    let files = [
        ("hello/Cargo.toml", &*manifest("")),
        ("hello/src/main.rs", APP),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("one");
    std::os::unix::fs::symlink(session.path("hello"), session.path("linked")).unwrap();
    let said = session.run(&[
        "dev",
        "--backend",
        "local",
        "--project",
        "linked",
        "--listen",
        "127.0.0.1:1",
    ]);
    assert!(
        said.contains("another `portkeep dev` runs hello already (process "),
        "{said}"
    );
    session.expect_answer("one");
}

#[test]
fn a_source_that_is_replaced_by_an_older_file_is_built() {
    let files = [
        ("hello/Cargo.toml", &*manifest("")),
        ("hello/src/main.rs", APP),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("one");
    let hour = std::time::Duration::from_secs(3600);
    let now = std::time::SystemTime::now();
    // The clock is set back, and forward, and back again.
    for (version, time) in [
        ("two", now - hour),
        ("three", now - hour),
        ("four", now + 9999 * hour),
        ("five", now),
    ] {
        // As a copy that keeps the times, or a clock that was set back, leaves it.
        let aside = session.write_aside(&APP.replace("\"one\"", &format!("\"{version}\"")));
        let file = std::fs::File::options().write(true).open(&aside).unwrap();
        file.set_modified(time).unwrap();
        std::fs::rename(&aside, session.path("hello/src/main.rs")).unwrap();
        session.expect_answer(version);
    }
}

#[test]
fn ctrl_c_while_everything_is_started_again_ends_it() {
    // It takes SIGTERM for nothing, so that ending the session takes as long as it may drain.
    let app = APP.replace(
        "    // start",
        "    unsafe extern \"C\" { fn signal(number: i32, what: usize) -> usize; }\n    \
         unsafe { signal(15, 1) };",
    );
    let drains = |for_so_long| manifest(&format!("drainTimeout = \"{for_so_long}\""));
    let files = [
        ("hello/Cargo.toml", &*drains("5s")),
        ("hello/src/main.rs", &*app),
    ];
    let mut session = Session::start(&files, &[]);
    session.expect_answer("one");
    session.expect_said("everything is started again", || {
        session.write("hello/Cargo.toml", &drains("6s"));
    });
    session.interrupt();
    session.wait_for_end();
    assert!(session.log().ends_with("stopping\n"), "{}", session.log());
}

#[test]
fn ctrl_c_is_heard_while_cargo_is_waited_for() {
    let files = [
        ("hello/Cargo.toml", &*manifest("")),
        ("hello/src/main.rs", APP),
        // As a cargo that waits for a lock.
        (
            "cargo",
            "#!/bin/sh\nif [ \"$1\" = metadata ] && [ -e \"$0.waits\" ]; then : >\"$0.called\"; exec sleep 300; fi\n\
             exec \"$REAL_CARGO\" \"$@\"\n",
        ),
    ];
    let mut session = Session::start_where(&files, &[], |home| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(home.join("cargo"), mode).unwrap();
    });
    session.expect_answer("one");
    session.write("cargo.waits", "");
    session.write("hello/Cargo.toml", &manifest("drainTimeout = \"7s\""));
    session.wait("cargo is called", || session.path("cargo.called").exists());
    session.interrupt();
    session.wait_for_end();
}

#[test]
fn a_full_disk_keeps_what_serves_until_there_is_room_again() {
    let files = [
        ("hello/Cargo.toml", &*manifest("")),
        ("hello/src/main.rs", APP),
    ];
    let session = Session::start_on_a_small_disk(&files);
    session.expect_answer("one");
    let filler = session.in_target("filler");
    let full = std::io::copy(
        &mut std::io::repeat(b'x'),
        &mut std::fs::File::create(&filler).unwrap(),
    );
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    session.expect_said("the build failed", || {
        session.edit("hello/src/main.rs", "\"one\"", "\"two\"");
    });
    assert!(session.log().contains("No space left"), "{}", session.log());
    session.expect_answer("one");
    std::fs::remove_file(filler).unwrap();
    session.edit("hello/src/main.rs", "\"two\"", "\"three\"");
    session.expect_answer("three");
}
