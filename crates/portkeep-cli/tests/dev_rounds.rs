//! Triggers of builds, checks and starts in `portkeep dev`, and failures on the way.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::session::{APP, Session, manifest};

const MANIFEST: &str = "hello/Cargo.toml";
const MAIN: &str = "hello/src/main.rs";

#[test]
fn a_check_that_cannot_be_run_fails_the_round_and_nothing_else() {
    let checks = manifest("checks = [[\"./check\"]]");
    let files = [
        (MANIFEST, &*checks),
        (MAIN, APP),
        ("hello/check", "#!/bin/sh\n"),
    ];
    let make_executable = |session: &Session| {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(session.path("hello/check"), mode).unwrap();
    };
    let mut session = Session::start(&files, &[]);
    // The program is not executable yet, and nothing serves.
    session.wait("the check cannot be run", || {
        session.log().contains("the check `./check` cannot be run")
    });
    make_executable(&session);
    session.expect_answer("one");

    fs::remove_file(session.path("hello/check")).unwrap();
    session.expect_said("cannot be run", || {
        session.edit(MAIN, "\"one\"", "\"two\"");
    });
    assert_eq!(session.get().unwrap(), "one");
    assert!(session.is_running());
    session.write("hello/check", "#!/bin/sh\n");
    make_executable(&session);
    session.expect_answer("two");
}

#[test]
fn a_file_that_only_the_start_reads_is_tried_again_while_a_failure_is_shown() {
    let manifest = manifest("");
    let files = [
        (MANIFEST, &*manifest),
        (MAIN, APP),
        ("hello/config.yaml", "a"),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("one");
    let config = |text: &str| session.write("hello/config.yaml", text);
    session.expect_said("nothing to build", || config("b"));

    // No build reads this file; the loop has learned that.
    let panics = "assert!(std::fs::read_to_string(\"hello/config.yaml\").unwrap() == \"new\");";
    session.edit(MAIN, "\"one\"", "\"two\"");
    session.expect_answer("two");
    session.expect_said("did not take over", || {
        session.edit(MAIN, "// start", panics);
    });
    session.edit(MAIN, "\"two\"", "\"three\"");
    session.expect_said("did not take over", || {});
    session.write("hello/config.yaml", "new");
    session.expect_answer("three");
}

#[test]
fn what_only_a_check_looks_at_is_checked_each_time() {
    let manifest = manifest("checks = [\"grep good data/x.json\"]");
    let files = [
        (MANIFEST, &*manifest),
        (MAIN, APP),
        ("hello/data/x.json", "good 1"),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("one");
    let data = |text: &str| session.write("hello/data/x.json", text);
    session.expect_said("nothing to build", || data("good 2"));
    session.expect_said("grep good data/x.json failed", || data("bad"));
    session.expect_said("nothing to build", || data("good 3"));
}

#[test]
fn a_check_that_writes_a_file_comes_to_rest() {
    let manifest = manifest("checks = [\"date +%s%N > times.txt; sleep 0.05\"]");
    let files = [(MANIFEST, &*manifest), (MAIN, APP), ("hello/times.txt", "")];
    let session = Session::start(&files, &[]);
    session.expect_answer("one");
    session.edit(MAIN, "\"one\"", "\"two\"");
    session.expect_answer("two");
    session.wait_for_rest();
    let said = "`--ignore '/times.txt'` leaves it out";
    assert_eq!(session.count(said), 1, "{}", session.log());
}

#[test]
fn a_style_sheet_that_is_compiled_in_is_built_beside_one_that_is_not() {
    let manifest = manifest("");
    let main = APP.replace("\"one\"", "include_str!(\"../static/b.css\")");
    let files = [
        (MANIFEST, &*manifest),
        (MAIN, &*main),
        ("hello/static/a.css", "a1"),
        ("hello/static/b.css", "b1"),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("b1");
    session.expect_said("nothing to build", || {
        session.write("hello/static/a.css", "a2");
    });
    session.expect_said("pages take the new styles", || {
        session.write("hello/static/a.css", "a3");
    });
    session.write("hello/static/b.css", "b2");
    session.expect_answer("b2");
}

#[test]
fn a_build_that_writes_a_source_of_its_own_comes_to_its_end() {
    let build = |contents: &str| {
        format!("fn main() {{\n    std::fs::write(\"src/gen.rs\", {contents}).unwrap();\n}}\n")
    };
    let manifest = manifest("");
    let main = format!("mod gen;\n{APP}").replace("// start", "println!(\"{:?}\", gen::AT);");
    let files = [
        (MANIFEST, &*manifest),
        (MAIN, &*main),
        ("hello/build.rs", &*build("\"pub const AT: u64 = 1;\"")),
        ("hello/src/gen.rs", ""),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("one");
    let before = session.count("building");
    session.edit(MAIN, "\"one\"", "\"two\"");
    session.expect_answer("two");
    let builds = session.count("building") - before;
    assert!(builds <= 2, "{builds} builds\n{}", session.log());

    // Each build has other contents. The app serves all the same, and the loop says what happens.
    session.write(
        "hello/build.rs",
        &build(
            "format!(\"pub const AT: u64 = {};\", std::time::UNIX_EPOCH.elapsed().unwrap().as_millis())",
        ),
    );
    session.edit(MAIN, "\"two\"", "\"three\"");
    session.expect_answer("three");
    let said = "`--ignore '/src/gen.rs'` leaves it out";
    assert_eq!(session.count(said), 1, "{}", session.log());
}

#[test]
fn the_last_of_many_edits_is_built_whenever_it_comes() {
    let manifest = manifest("");
    let session = Session::start(&[(MANIFEST, &*manifest), (MAIN, APP)], &[]);
    session.expect_answer("one");
    // Right after a build, and during one.
    for (moment, said) in [("after", "serves"), ("during", "changed, building")] {
        for number in 0..8 {
            let version = format!("\"{moment} {number}\"");
            session.expect_said(said, || {
                session.write(MAIN, &APP.replace("\"one\"", &version));
            });
        }
        session.expect_answer(&format!("{moment} 7"));
    }
}

#[test]
fn the_settings_of_cargo_in_the_project_count_wherever_it_is_called_from() {
    let manifest = manifest("");
    let main = APP.replace("\"one\"", "env!(\"OF_THE_PROJECT\")");
    let files = [
        (MANIFEST, &*manifest),
        (MAIN, &*main),
        (
            "hello/.cargo/config.toml",
            "[env]\nOF_THE_PROJECT = \"here\"\n[build]\ntarget-dir = \"made\"\n",
        ),
    ];
    let session = Session::start(&files, &[]);
    session.expect_answer("here");
    assert!(session.path("hello/made").is_dir());
}

#[test]
fn a_start_that_hangs_does_not_keep_the_next_version_waiting() {
    let patient = manifest("startTimeout = \"600s\"");
    let session = Session::start(&[(MANIFEST, &*patient), (MAIN, APP)], &[]);
    session.expect_answer("one");
    // It answers a moment before that is known here, and would be overtaken, too.
    session.wait("it serves", || {
        session.log().contains("generation 1 serves, READY")
    });
    let hangs = "println!(\"it hangs\"); std::thread::sleep(std::time::Duration::from_secs(600));";
    session.expect_said("| it hangs", || session.edit(MAIN, "// start", hangs));
    // A failed build does not end it.
    session.expect_said("the build failed", || {
        session.edit(MAIN, "fn main", "fn niam");
    });
    assert_eq!(session.get().unwrap(), "one", "{}", session.log());
    session.write(MAIN, &APP.replace("\"one\"", "\"three\""));
    session.expect_answer("three");
    assert_eq!(
        session.count("newer sources overtake"),
        1,
        "{}",
        session.log()
    );
    session.wait("it is told what became of the other", || {
        session
            .log()
            .contains("the start that was overtaken is given up")
    });
}

#[test]
fn what_happens_while_a_version_starts_does_not_start_it_twice() {
    let manifest = manifest("");
    // As it starts, the app writes files that no build reads.
    let slow = "std::fs::write(\"hello/at.log\", format!(\"{:?}\", std::time::Instant::now())).unwrap();\n    \
                std::thread::sleep(std::time::Duration::from_millis(1500)); println!(\"it starts\");";
    let main = APP.replace("// start", slow);
    let session = Session::start(&[(MANIFEST, &*manifest), (MAIN, &*main)], &[]);
    session.expect_answer("one");
    session.wait("the build of what it wrote ends", || {
        session.log().contains("nothing to build")
    });
    session.edit(MAIN, "\"one\"", "\"two\"");
    session.expect_answer("two");
    session.wait_for_rest();
    assert_eq!(session.count("| it starts"), 2, "{}", session.log());
}

#[test]
fn a_package_outside_of_a_virtual_workspace_is_watched() {
    let main = format!(
        "use lib::VERSION;\n{}",
        APP.replace("const VERSION: &str = \"one\";", "")
    );
    let member = manifest("").replace(
        "[workspace]\n",
        "[dependencies]\nlib = { path = \"../../lib\" }\n",
    );
    let files = [
        (
            "hello/Cargo.toml",
            "[workspace]\nmembers = [\"app\"]\nresolver = \"2\"\n",
        ),
        ("hello/app/Cargo.toml", &*member),
        ("hello/app/src/main.rs", &*main),
        ("hello/app/src/bin/other.rs", "fn main() {}\n"),
        (
            "lib/Cargo.toml",
            "[package]\nname = \"lib\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n",
        ),
        ("lib/src/lib.rs", "pub const VERSION: &str = \"one\";\n"),
    ];
    let session = Session::start(&files, &["--bin", "hello"]);
    session.expect_answer("one");
    session.edit("lib/src/lib.rs", "\"one\"", "\"two\"");
    session.expect_answer("two");
    // There and back, as when branches are switched.
    fs::rename(session.path("lib"), session.path("bil")).unwrap();
    session.expect_said("the build failed", || {});
    fs::rename(session.path("bil"), session.path("lib")).unwrap();
    session.edit("lib/src/lib.rs", "\"two\"", "\"three\"");
    session.expect_answer("three");
}
