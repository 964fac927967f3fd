//! Where nothing can serve, a page says so, and the app takes its place as soon as it can.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use portkeep_tests::{App, Behaviour, Mode, Outcome, whole_answer};
use serde_json::json;

const PAGE: Duration = Duration::from_secs(20);
/// From a good build to its first answer.
const GOOD: Duration = Duration::from_secs(20);

/// A first version that cannot serve; a client that connects all the while; the page; a good build.
fn held(name: &str, first: &Behaviour, spoil: impl FnOnce(&App), reason: &[&str]) {
    let app = App::named(name)
        .with("restart", json!({ "delay": "20ms", "maxDelay": "100ms" }))
        .install(first);
    spoil(&app);
    let watcher = app.watch();
    app.wait_for_status(503, PAGE);
    // The page answers before its handover is accounted for.
    let mut history = String::new();
    let begun = Instant::now();
    while !reason.iter().any(|word| history.contains(word)) {
        assert!(
            begun.elapsed() < PAGE,
            "not within {PAGE:?}: {reason:?} in the history\n{history}"
        );
        history = app.portkeep("history", &[]).expect_success().stdout;
    }

    app.publish(&Behaviour::version("good"));
    let published = Instant::now();
    app.wait_for_version("good", GOOD);
    println!(
        "measured: {name}: a good build serves after {:?}",
        published.elapsed()
    );
    app.settled();
    let good = app.generations().pop().expect("it serves");
    app.wait_for_only(&good, GOOD);
    let seen = watcher.finish();
    seen.expect_never_refused();
    // Waiting or told to wait, but never cut: no process was killed while it answered, unless it crashed by itself.
    let crashes = matches!(first.mode, Mode::SegvAfterReady { .. });
    let cut = seen
        .failed()
        .iter()
        .filter(|sample| sample.outcome != Outcome::Status(503))
        .count();
    assert!(
        crashes || cut == 0,
        "{cut} of {} were cut",
        seen.samples.len()
    );

    // Nothing of portkeep's is left behind where an app serves.
    let retry = app.unit("-retry.service");
    portkeep_tests::wait_until("nobody waits for a release any more", GOOD, || {
        (app.manager().property(&retry, "ActiveState") == "inactive").then_some(())
    });
}

#[test]
fn for_a_first_version_that_crashes_again_and_again() {
    let after = Duration::from_millis(200);
    let first = Behaviour::version("v1").mode(Mode::SegvAfterReady { after });
    held("held-crash", &first, |_| {}, &["given up"]);
}

#[test]
fn for_an_executable_that_is_missing() {
    let first = Behaviour::version("v1");
    held(
        "held-missing",
        &first,
        App::remove_executable,
        &["does not exist"],
    );
}

#[test]
fn for_an_executable_that_may_not_be_executed() {
    let spoil = |app: &App| {
        fs::set_permissions(app.executable(), fs::Permissions::from_mode(0o644))
            .expect("its mode can be changed");
    };
    held(
        "held-mode",
        &Behaviour::version("v1"),
        spoil,
        &["not executable"],
    );
}

#[test]
fn for_an_executable_of_another_machine() {
    let spoil = |app: &App| {
        let mut program = fs::read(app.executable()).expect("it can be read");
        // e_machine of an ELF file; 0xf3 is RISC-V.
        program[18] = 0xf3;
        replace(app, &program);
    };
    held(
        "held-machine",
        &Behaviour::version("v1"),
        spoil,
        &["203/EXEC"],
    );
}

#[test]
fn for_an_executable_that_was_cut_off() {
    let spoil = |app: &App| {
        let program = fs::read(app.executable()).expect("it can be read");
        replace(app, &program[..program.len() / 3]);
    };
    let reason = ["203/EXEC", "signal", "status"];
    held("held-cut", &Behaviour::version("v1"), spoil, &reason);
}

fn replace(app: &App, program: &[u8]) {
    let next = app.executable().with_extension("next");
    fs::write(&next, program).expect("it can be written");
    fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
    fs::rename(next, app.executable()).expect("it can be replaced");
}

#[test]
fn the_page_suits_who_asks_and_tells_nothing() {
    let app = App::named("secretive").install(&Behaviour::version("v1").mode(Mode::Exit));
    app.wait_for_status(503, PAGE);
    let ask = |headers: &str| {
        whole_answer(app.address(), headers, Duration::from_secs(5)).expect("it is answered")
    };
    let html = ask("Accept: text/html,*/*;q=0.8\r\n").to_lowercase();
    let text = ask("Accept: */*\r\n").to_lowercase();
    let json = ask("Accept: application/json\r\n").to_lowercase();
    assert!(html.contains("content-type: text/html"), "{html}");
    assert!(text.contains("content-type: text/plain"), "{text}");
    assert!(json.contains("content-type: application/json"), "{json}");
    for answer in [html, text, json] {
        assert!(answer.starts_with("http/1.1 503"), "{answer}");
        assert!(answer.contains("\r\nretry-after: 5\r\n"), "{answer}");
        for inside in [
            "portkeep",
            "secretive",
            "exit",
            "status 3",
            "generation",
            "systemd",
        ] {
            assert!(!answer.contains(inside), "{inside} in {answer}");
        }
    }
}

#[test]
fn a_reload_that_finds_nothing_better_says_so_and_leaves_the_page() {
    let app = App::named("held-reload").install(&Behaviour::version("v1").mode(Mode::Exit));
    app.wait_for_status(503, PAGE);
    app.settled();
    let watcher = app.watch();
    let told = app.portkeep("reload", &[]).expect_failure();
    told.expect_mention(&["status 3"]);
    assert_eq!(told.code, Some(1), "{told}");
    let _ = app.systemctl("reload").expect_failure();
    let seen = watcher.finish();
    let other = |outcome: &Outcome| *outcome != Outcome::Status(503);
    assert!(!seen.samples.iter().any(|sample| other(&sample.outcome)));
}

/// Connections to a socket that does not speak HTTP wait for the app, whatever the others are told.
#[test]
fn other_sockets_keep_their_queue() {
    let listen = json!([
        { "name": "http", "stream": "127.0.0.1:8080" },
        { "name": "raw", "stream": "127.0.0.1:8081", "protocol": "raw" },
    ]);
    let app = App::named("held-raw")
        .with("listen", listen)
        .install(&Behaviour::version("v1").mode(Mode::Exit));
    app.wait_for_status(503, PAGE);
    let raw = ([127, 0, 0, 1], 8081).into();
    let waiting =
        std::thread::spawn(move || portkeep_tests::request(raw, "/", Duration::from_secs(15)));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!waiting.is_finished(), "it was answered by the page");
    app.publish(&Behaviour::version("good"));
    // The fixture serves every stream socket.
    let answered = waiting.join().expect("it was asked");
    assert_eq!(answered.version(), Some("good"), "{answered:?}");
}

/// The page needs nothing of the disk on which releases are kept.
#[test]
fn the_page_is_shown_where_the_state_cannot_be_written() {
    let app = App::named("held-full").install(&Behaviour::version("v1"));
    app.remove_executable();
    let releases = app.state_directory().join("releases");
    let _ = fs::remove_dir_all(&releases);
    File::create(&releases).expect("a file can stand in the way");
    let watcher = app.watch();
    app.wait_for_status(503, PAGE);
    watcher.finish().expect_never_refused();
    fs::remove_file(&releases).expect("it can be removed");
    app.publish(&Behaviour::version("good"));
    app.wait_for_version("good", GOOD);
}
