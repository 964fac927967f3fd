//! The cargo profile of `portkeep dev`: it and other cargo processes do not wait for each other.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::session::{APP, Session, manifest};

const MANIFEST: &str = "hello/Cargo.toml";
const MAIN: &str = "hello/src/main.rs";
const BEHIND: &str = "portkeep-dev builds from now on";

/// A `cargo` that the user runs in the project.
fn cargo(home: &Path, words: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(words).current_dir(home.join("hello"));
    cargo.env_remove("CARGO_TARGET_DIR");
    cargo.stdout(Stdio::null()).stderr(Stdio::null());
    cargo
}

/// An app that answers with the value of `expression`.
fn says(expression: &str) -> String {
    let version = format!("const VERSION: &str = {expression};");
    APP.replace("const VERSION: &str = \"one\";", &version)
}

struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_save_waits_for_cargo_elsewhere_nor_cargo_for_a_save() {
    let session = Session::start(&[(MANIFEST, &*manifest("")), (MAIN, APP)], &[]);
    session.expect_answer("one");
    let home = session.path("");
    assert!(cargo(&home, &["check"]).status().unwrap().success());
    // rust-analyzer holds this lock while it checks.
    let lock = File::open(session.path("hello/target/debug/.cargo-lock")).unwrap();
    lock.lock().unwrap();
    let mut waiting = Waiting(cargo(&home, &["build"]).spawn().unwrap());
    session.edit(MAIN, "\"one\"", "\"two\"");
    session.expect_answer("two");
    assert!(
        waiting.0.try_wait().unwrap().is_none(),
        "this is not the lock that cargo takes"
    );
    lock.unlock().unwrap();
    assert!(waiting.0.wait().unwrap().success());

    // And the other way round.
    let lock = File::open(session.path("hello/target/portkeep-dev/.cargo-lock")).unwrap();
    lock.lock().unwrap();
    session.expect_said("building", || session.edit(MAIN, "\"two\"", "\"three\""));
    assert!(cargo(&home, &["build"]).status().unwrap().success());
    assert_eq!(session.get().unwrap(), "two");
    lock.unlock().unwrap();
    session.expect_answer("three");
}

#[test]
fn where_dev_is_built_already_the_first_page_does_not_wait_for_another_profile() {
    let app = manifest("").replace(
        "[workspace]",
        "[workspace]\n[dependencies]\nlib = { path = \"../lib\" }",
    );
    let lib = "[package]\nname = \"lib\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n";
    let main = says("lib::VERSION");
    let files = [
        (MANIFEST, &*app),
        (MAIN, &*main),
        ("lib/Cargo.toml", lib),
        ("lib/src/lib.rs", "pub const VERSION: &str = \"one\";\n"),
    ];
    let session = Session::start_where(&files, &[], |home| {
        assert!(cargo(home, &["build"]).status().unwrap().success());
    });
    session.expect_answer("one");
    assert!(
        session
            .log()
            .contains("the first builds use the profile dev"),
        "{}",
        session.log()
    );
    // An edit during a build is served, too, whichever build contains it.
    session.edit("lib/src/lib.rs", "\"one\"", "\"two\"");
    session.expect_answer("two");
    session.wait("it is built behind", || session.count(BEHIND) == 1);
    // The debug directory has the previous build, which must not be taken for the new one.
    session.edit("lib/src/lib.rs", "\"two\"", "\"three\"");
    session.expect_answer("three");
    let log = session.log();
    let last = log.rsplit("Finished").next().unwrap();
    assert!(last.contains("portkeep-dev"), "{log}");
    let made = fs::read(session.path("hello/target/portkeep-dev/hello")).unwrap();
    let text = String::from_utf8_lossy(&made);
    assert!(text.contains("three"), "it is not what was built");
}

#[test]
fn what_the_project_says_of_its_profile_dev_stays() {
    let settings = "[profile.dev]\ndebug-assertions = false\n[profile.dev.package.lib]\ndebug-assertions = true\n";
    let app = manifest("").replace(
        "[workspace]",
        "[workspace]\n[dependencies]\nlib = { path = \"../lib\" }",
    );
    let lib = "[package]\nname = \"lib\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n";
    let main = says(
        "match (cfg!(debug_assertions), lib::ASSERTS) { (false, true) => \"as they say\", _ => \"otherwise\" }",
    );
    let files = [
        (MANIFEST, &*format!("{app}{settings}")),
        (MAIN, &*main),
        ("lib/Cargo.toml", lib),
        (
            "lib/src/lib.rs",
            "pub const ASSERTS: bool = cfg!(debug_assertions);\n",
        ),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("as they say");
    assert!(session.path("hello/target/portkeep-dev/hello").exists());
}

#[test]
fn a_profile_that_is_chosen_builds() {
    let profiles = "[profile.fast]\ninherits = \"dev\"\n[profile.portkeep-dev]\ninherits = \"dev\"\ndebug-assertions = false\n";
    let main = says("if cfg!(debug_assertions) { \"asserts\" } else { \"does not\" }");
    let start = |more: &str, arguments: &[&str]| {
        let manifest = format!("{}{profiles}", manifest(more));
        Session::start(&[(MANIFEST, &*manifest), (MAIN, &*main)], arguments)
    };
    let by_field = start("profile = \"fast\"", &[]);
    by_field.expect_answer("asserts");
    assert!(by_field.path("hello/target/fast/hello").exists());
    drop(by_field);
    let by_line = start("profile = \"missing\"", &["--profile", "dev"]);
    by_line.expect_answer("asserts");
    assert!(by_line.path("hello/target/debug/hello").exists());
    drop(by_line);
    // A profile of the user's with the same name is used as it is.
    let theirs = start("", &[]);
    theirs.expect_answer("does not");
    assert!(theirs.path("hello/target/portkeep-dev/hello").exists());
}

#[test]
fn what_cargo_cannot_do_is_said_and_tried_again() {
    let mut session = Session::start(
        &[(MANIFEST, &*manifest("")), (MAIN, APP)],
        &["--profile", "fast"],
    );
    session.wait("cargo says what is wrong", || {
        session.log().contains("profile `fast` is not defined")
    });
    assert!(session.is_running());
    let defined = format!("{}[profile.fast]\ninherits = \"dev\"\n", manifest(""));
    session.write(MANIFEST, &defined);
    session.expect_answer("one");
    drop(session);

    let mut session = Session::start(
        &[
            (MANIFEST, &*manifest("")),
            (MAIN, APP),
            ("hello/target", "no directory"),
        ],
        &[],
    );
    session.wait("cargo says what is wrong", || {
        session.log().contains("the build failed")
    });
    assert!(session.is_running());
    fs::remove_file(session.path("hello/target")).unwrap();
    session.edit(MAIN, "\"one\"", "\"two\"");
    session.expect_answer("two");
}

/// Each of these moves cargo's output, or changes how cargo builds.
#[test]
fn the_settings_of_cargo_count_and_what_it_makes_is_no_source() {
    let host = Command::new("rustc")
        .args(["--print", "host-tuple"])
        .output()
        .unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    let host = host.trim();
    let config = format!(
        "[build]\ntarget = \"{host}\"\nbuild-dir = \"cache\"\nrustflags = [\"--cfg\", \"flagged\"]\n\
         [target.{host}]\nlinker = \"./own-gcc\"\n"
    );
    let main = says("if cfg!(flagged) { \"one, flagged\" } else { \"one\" }");
    let files = [
        (MANIFEST, &*manifest("")),
        (MAIN, &*main),
        ("hello/.cargo/config.toml", &*config),
        ("hello/.gitignore", "/target\n"),
        (
            "hello/own-gcc",
            "#!/bin/sh\ntouch ../linked\nexec cc \"$@\"\n",
        ),
    ];
    let session = Session::start_where(&files, &[], |home| {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(home.join("hello/own-gcc"), mode).unwrap();
    });
    session.expect_answer("one, flagged");
    assert!(session.path("linked").exists());
    session.wait_for_rest();
    let before = session.count("building");
    session.edit(MAIN, "\"one, flagged\"", "\"two\"");
    session.expect_answer("two");
    session.wait_for_rest();
    let log = session.log();
    let builds = session.count("building") - before;
    assert_eq!(builds, 1, "one build a change:\n{log}");
    let made = format!("hello/target/{host}/portkeep-dev/hello");
    assert!(session.path(&made).exists(), "{log}");
}
