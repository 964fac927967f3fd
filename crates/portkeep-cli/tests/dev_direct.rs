//! Rounds without cargo: the app that serves is always what a clean build makes, and no later `cargo build` keeps old code.
#![allow(
    missing_docs,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs::{self, File, FileTimes};
use std::time::SystemTime;

use support::session::Session;
use support::sources::{BASE, LIB, MAIN, Sources, cargo_build, write_old};

/// Number of sequences, and the number of the first one.
const SEQUENCES: &str = "PORTKEEP_DIRECT_SEQUENCES";
const SEED: &str = "PORTKEEP_DIRECT_SEED";
const STEPS: usize = 6;
/// Sequences of one session.
const OF_A_SESSION: u64 = 5;

/// xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        for shift in [13, 7, 17] {
            self.0 ^= if shift == 7 {
                self.0 >> shift
            } else {
                self.0 << shift
            };
        }
        self.0 % end
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |number| number.parse().unwrap())
}

/// Rounds so far that cargo built, and all successful ones.
fn rounds(session: &Session) -> (usize, usize) {
    (session.count("Finished"), session.count("built in"))
}

#[test]
fn a_plain_edit_needs_no_cargo_and_whatever_else_changes_does() {
    let mut sources = Sources::default();
    let session = sources.start();
    let step = |sources: &Sources, is_direct: bool, what: &str| {
        let before = rounds(&session);
        sources.write(&session);
        session.expect_answer(&sources.answer());
        session.wait_for_rest();
        let after = rounds(&session);
        let (by_cargo, all) = (after.0 - before.0, after.1 - before.1);
        assert!(all > 0, "{what}");
        assert_eq!(by_cargo == 0, is_direct, "{what}\n{}", session.log());
    };
    sources.main = 1;
    step(&sources, true, "the program");
    sources.main = 2;
    step(&sources, true, "the program again");
    sources.lib = 1;
    step(&sources, true, "a library");
    sources.text = 1;
    step(
        &sources,
        true,
        "a file that is compiled into what that library uses",
    );
    sources.main = 3;
    step(&sources, true, "the program, after what it uses");
    // A file that no build reads triggers none, although cargo would recompile what was compiled without it.
    let cargos = rounds(&session).0;
    session.expect_said("nothing to build", || {
        session.write("hello/page.html", "page");
    });
    session.expect_said("page.html changed, pages reload", || {
        session.write("hello/page.html", "another");
    });
    assert_eq!(rounds(&session).0, cargos, "{}", session.log());
    (sources.main, sources.base) = (5, 5);
    step(&sources, true, "two files");
    sources.extra = Some(1);
    step(&sources, false, "a new file");
    sources.extra = Some(2);
    step(&sources, true, "the new file");
    sources.is_loud = true;
    step(&sources, false, "a manifest");
    sources.main = 6;
    step(&sources, true, "the program, as the manifest has it");
    sources.environment = 1;
    step(&sources, false, "a configuration");
    sources.extra = None;
    step(&sources, false, "a file that is gone");
    assert_eq!(
        cargo_build(&session, &session.path("hello/target")),
        sources.answer()
    );
}

#[test]
fn after_any_edits_the_answer_is_that_of_a_clean_build() {
    let sequences = number(SEQUENCES, 20);
    let first = number(SEED, 1);
    let (mut direct, mut all) = (0, 0);
    let mut next = first;
    while next < first + sequences {
        let mut sources = Sources::default();
        let session = sources.start();
        let end = (next + OF_A_SESSION).min(first + sequences);
        for seed in next..end {
            sequence(&session, &mut sources, seed);
        }
        let (by_cargo, built) = rounds(&session);
        direct += built.saturating_sub(by_cargo);
        all += built;
        next = end;
    }
    eprintln!("{direct} of {all} rounds without cargo");
    assert!(direct * 5 > all, "{direct} of {all} rounds without cargo");
}

fn sequence(session: &Session, sources: &mut Sources, seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut told = Vec::new();
    for step in 0..STEPS {
        let edit = random.below(14);
        told.push(edit);
        let mut is_old = false;
        let next = step as u32 + seed as u32 * 100;
        match edit {
            0 | 1 => sources.main = next,
            2 | 3 => sources.lib = next,
            4 => sources.base = next,
            5 => (sources.main, sources.base) = (next, next),
            6 => sources.text = next,
            7 => {
                let name = [MAIN, LIB, BASE][random.below(3) as usize];
                session.expect_said("the build failed", || {
                    let text = fs::read_to_string(session.path(name)).unwrap();
                    session.write(
                        name,
                        &format!("{text}\nfn broken() -> u8 {{ \"{next}\" }}\n"),
                    );
                });
            }
            8 => sources.extra = Some(next),
            9 => sources.extra = None,
            10 => sources.is_loud = !sources.is_loud,
            11 => sources.environment = next,
            12 => {
                let now = FileTimes::new().set_modified(SystemTime::now());
                let file = File::options()
                    .append(true)
                    .open(session.path(LIB))
                    .unwrap();
                file.set_times(now).unwrap();
            }
            _ => {
                (sources.main, sources.lib, is_old) = (next, next, true);
            }
        }
        if is_old {
            for (name, text) in sources.files() {
                if name == MAIN || name == LIB {
                    write_old(session, name, &text);
                }
            }
        } else {
            sources.write(session);
        }
        let what = format!("sequence {seed}, {told:?}");
        let (answers, idle) = (sources.answer(), session.count("nothing to build"));
        let is_served = || session.get().is_ok_and(|body| body == answers);
        session.wait(&what, || {
            is_served() || is_old && session.count("nothing to build") > idle
        });
        if is_old && !is_served() {
            // cargo builds this round. It takes files that are older than its own output for built.
            for name in [MAIN, LIB] {
                let text = fs::read_to_string(session.path(name)).unwrap();
                session.write(name, &format!("{text}// new\n"));
            }
            session.wait(&what, is_served);
        }
    }
    let target = session.path("hello/target");
    let kept = cargo_build(session, &target);
    assert_eq!(
        kept,
        sources.answer(),
        "cargo in the loop's target: {seed} {told:?}"
    );
    let clean = tempfile::tempdir().unwrap();
    let clean = cargo_build(session, clean.path());
    assert_eq!(clean, sources.answer(), "a clean build: {seed} {told:?}");
    assert_eq!(session.get().unwrap(), clean, "sequence {seed}, {told:?}");
}

#[test]
fn a_package_with_a_build_script_is_cargos() {
    let sources = Sources::default();
    let mut files = sources.files();
    files.push(("hello/base/build.rs", "fn main() {}\n".to_owned()));
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    let session = Session::start(&files, &[]);
    session.expect_answer(&sources.answer());
    for main in 1..4 {
        let sources = Sources {
            main,
            ..Sources::default()
        };
        sources.write(&session);
        session.expect_answer(&sources.answer());
    }
    let (by_cargo, all) = rounds(&session);
    assert_eq!(by_cargo, all, "{}", session.log());
}

/// Editors write a new file and rename it, while other processes take cargo's lock.
#[test]
fn an_editor_that_renames_needs_no_cargo_and_a_build_elsewhere_is_no_trouble() {
    let mut sources = Sources::default();
    let session = sources.start();
    session.wait_for_rest();
    let (cargos, _) = rounds(&session);
    for lib in 1..4 {
        sources.lib = lib;
        let files = sources.files();
        let (_, text) = files.iter().find(|(name, _)| *name == LIB).unwrap();
        session.write("hello/lib/src/4913", "x");
        fs::remove_file(session.path("hello/lib/src/4913")).unwrap();
        fs::rename(session.write_aside(text), session.path(LIB)).unwrap();
        session.expect_answer(&sources.answer());
    }
    assert_eq!(rounds(&session).0, cargos, "{}", session.log());
    // Another cargo process built in the same directory: its output is newer than the recorded one.
    let target = session.path("hello/target");
    assert_eq!(cargo_build(&session, &target), sources.answer());
    sources.main = 9;
    sources.write(&session);
    session.expect_answer(&sources.answer());
    assert_eq!(rounds(&session).0, cargos + 1, "{}", session.log());
    let lock = File::open(target.join("portkeep-dev/.cargo-lock")).unwrap();
    lock.lock().unwrap();
    sources.main = 10;
    session.expect_said("Blocking", || sources.write(&session));
    lock.unlock().unwrap();
    session.expect_answer(&sources.answer());
}

/// cargo alone would take such a file for built.
#[test]
fn cargo_compiles_what_was_compiled_without_it_whatever_the_times_are() {
    let mut sources = Sources::default();
    let session = sources.start();
    session.wait_for_rest();
    let (cargos, _) = rounds(&session);
    (sources.main, sources.lib) = (1, 1);
    sources.write(&session);
    session.expect_answer(&sources.answer());
    assert_eq!(rounds(&session).0, cargos, "{}", session.log());
    let session = session.end();
    sources = Sources::default();
    for (name, text) in sources.files() {
        if name == MAIN || name == LIB {
            write_old(&session, name, &text);
        }
    }
    let target = session.path("hello/target");
    assert_eq!(cargo_build(&session, &target), sources.answer());
}
