//! Every end of a generation is settled, once, with systemd's own word on it, whoever holds whatever lock.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Mode, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(15);

fn events<'a>(history: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let is_kind = |event: &&Value| event["event"] == kind;
    history.iter().filter(is_kind).collect()
}

#[test]
fn each_end_is_in_the_history_once_with_its_reason() {
    let app = App::named("ends")
        .with("restart", json!({ "delay": "20ms", "rollbackAfter": 50 }))
        .serve(&Behaviour::version("v1"));
    // Not SEGV nor BUS: Rust's own handler takes the first of those for the end of a stack.
    let signals = ["KILL", "ABRT", "TRAP", "SYS", "KILL", "QUIT"];
    for signal in signals {
        app.kill_and_wait("@1.service", signal);
    }
    // By the manager as well, which hits all processes of the unit.
    let unit = app.unit("@1.service");
    let killed = app.manager().systemctl(&["kill", "--signal=KILL", &unit]);
    let _ = killed.expect_success();
    wait_until("its end is told", SOON, || {
        (events(&app.history(), "crash").len() > signals.len()).then_some(())
    });
    app.wait_for_version("v1", SOON);
    let history = app.history();
    let crashes = events(&history, "crash");
    assert_eq!(crashes.len(), signals.len() + 1, "{crashes:#?}");
    for (crash, signal) in crashes.iter().zip(signals.iter().chain(&["KILL"])) {
        let reason = crash["reason"].as_str().expect("it has a reason");
        assert!(reason.ends_with(&format!("signal {signal}")), "{reason}");
        assert_eq!(crash["decision"], "restart");
    }
    // An end in good order is none.
    app.publish(&Behaviour::version("v2"));
    app.reload();
    app.wait_for_only(&app.unit("@2.service"), SOON);
    wait_until("its drain is told", SOON, || {
        let history = app.history();
        let drained = events(&history, "drained");
        (drained.len() == 1 && drained[0]["generation"] == 1).then_some(())
    });
    assert_eq!(events(&app.history(), "crash").len(), signals.len() + 1);
}

/// While systemd reads its units anew, or becomes another process, no end is lost, and none is told twice.
#[test]
fn ends_while_the_manager_reloads_and_reexecutes_are_settled_once() {
    let app = App::named("ends-reexec")
        .with(
            "restart",
            json!({ "delay": "20ms", "maxDelay": "50ms", "rollbackAfter": 50 }),
        )
        .serve(&Behaviour::version("v1"));
    let times = 6;
    let unit = app.unit("@1.service");
    // systemctl loses its connection to a manager that becomes another process.
    let pid = || {
        let show = ["show", "--property=MainPID", "--value", &unit];
        let shown = app.manager().systemctl(&show);
        Some(shown.stdout.trim().to_owned()).filter(|pid| !pid.is_empty() && pid != "0")
    };
    for verb in ["daemon-reload", "daemon-reexec"] {
        for _ in 0..times {
            let before = wait_until("it has a process", SOON, pid);
            thread::scope(|scope| {
                scope.spawn(|| app.manager().systemctl(&[verb]));
                let _ = run("kill", ["-s", "KILL", &before]).expect_success();
            });
            wait_until("it is started again", SOON, || {
                pid().filter(|pid| *pid != before)
            });
            app.wait_for_version("v1", SOON);
        }
    }
    let history = app.history();
    let crashes = events(&history, "crash");
    assert_eq!(crashes.len(), 2 * times, "{crashes:#?}");
}

#[test]
fn every_way_to_end_is_settled() {
    let app = App::named("ways-to-end")
        .with("watchdog", json!("2s"))
        .with("restart", json!({ "delay": "20ms", "rollbackAfter": 50 }))
        .serve(&Behaviour::version("v1"));
    // A process that stands still feeds no watchdog.
    app.signal("@1.service", "STOP");
    wait_until("the watchdog is told", SOON, || {
        let told = |event: &&Value| event["reason"].to_string().contains("watchdog");
        app.history().iter().find(told).map(|_| ())
    });
    app.wait_for_version("v1", SOON);
    for (verb, unit) in [
        ("stop", "@1.service"),
        ("restart", ".service"),
        ("stop", ".service"),
        ("stop", ".target"),
    ] {
        let generation = app.generations().pop().expect("one serves");
        let unit = match unit {
            "@1.service" => generation.clone(),
            other => app.unit(other),
        };
        let _ = app.manager().systemctl(&[verb, &unit]).expect_success();
        wait_until("the old one has ended", SOON, || {
            (!app.generations().contains(&generation)).then_some(())
        });
        if unit.ends_with(".target") {
            let _ = app
                .manager()
                .systemctl(&["start", &app.unit(".socket")])
                .expect_success();
        }
        app.wait_for_version("v1", SOON);
        app.settled();
        wait_until("one serves, and it is the current one", SOON, || {
            let link = std::fs::read_link(app.run_directory().join("current")).ok()?;
            let current = app.unit(&format!("@{}.service", link.file_name()?.to_str()?));
            (app.generations() == [current]).then_some(())
        });
    }
    // None of these is a crash.
    assert_eq!(events(&app.history(), "crash").len(), 1);
}

/// An app that does not end as it should is stopped all the same when its operator stops it.
#[test]
fn a_stopped_app_stays_stopped_however_it_ends() {
    let app = App::named("stays-stopped")
        .with("drainTimeout", json!("1s"))
        .serve(&Behaviour::version("v1").mode(Mode::Deaf));
    for unit in [".service", ".target"] {
        let _ = app
            .manager()
            .systemctl(&["stop", &app.unit(unit)])
            .expect_success();
        let socket = app.unit(".socket");
        wait_until("it has ended", SOON, || {
            app.generations().is_empty().then_some(())
        });
        wait_until("its end is settled", SOON, || {
            let settling = app.unit("-settle@*.service");
            let states = app.manager().property(&settling, "ActiveState");
            (!states.contains("activating")).then_some(())
        });
        assert!(app.generations().is_empty(), "{:?}", app.generations());
        let is_open = app.manager().property(&socket, "ActiveState") == "active";
        assert_eq!(
            is_open,
            unit == ".service",
            "the port after a stop of {unit}"
        );
        let _ = app
            .manager()
            .systemctl(&["start", &socket])
            .expect_success();
        app.wait_for_version("v1", SOON);
        app.settled();
    }
}

/// What a handover does while another one is under way, or has been stopped: it holds the lock.
fn lock(app: &App) -> File {
    let path = app.run_directory().join("lock");
    let file = File::options()
        .write(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.lock().expect("it can be locked");
    file
}

#[test]
fn nobody_who_holds_the_lock_makes_connections_wait() {
    let app = App::named("held-lock").serve(&Behaviour::version("v1"));
    for signal in ["KILL", "TERM", "ABRT", "TERM"] {
        let held = lock(&app);
        let begun = Instant::now();
        app.kill_and_wait("@1.service", signal);
        assert_eq!(app.get("/").version, "v1");
        // Two seconds where a second is promised: the machine may be busy.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "{signal}: {took:?}");
        drop(held);
    }
}

/// 50 restarts of a quiet app. The handle is passed the sockets too, and its start cleared the flag that all generations share:
/// whoever accepted first then blocked for ever.
#[test]
fn fifty_restarts_of_a_quiet_app_answer_every_request() {
    let app = App::named("quiet-restart").serve(&Behaviour::version("v1"));
    for number in 0..50 {
        thread::scope(|scope| {
            let asked: Vec<_> = (0..6)
                .map(|each| {
                    let app = &app;
                    scope.spawn(move || {
                        thread::sleep(Duration::from_millis(15 * each));
                        app.request("/")
                    })
                })
                .collect();
            let _ = app.systemctl("restart").expect_success();
            for one in asked {
                let outcome = one.join().expect("it was asked");
                assert_eq!(
                    outcome.version(),
                    Some("v1"),
                    "restart {number}: {outcome:?}"
                );
            }
        });
    }
    // Without its executable the release that is kept serves.
    app.remove_executable();
    let _ = app.systemctl("restart").expect_success();
    for _ in 0..3 {
        assert_eq!(app.get("/").version, "v1");
    }
}

#[test]
fn what_was_never_ready_is_killed_soon_and_a_page_is_shown() {
    let app = App::named("never-ready")
        .with("startTimeout", json!("2s"))
        .with("drainTimeout", json!("30s"))
        .install(&Behaviour::version("v1").mode(Mode::NeverReadyDeaf));
    let begun = Instant::now();
    app.wait_for_status(503, SOON);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    app.settled();
    // It failed, and is told so: no release could be started.
    let told = app.portkeep("reload", &[]);
    assert_eq!(told.code, Some(1), "{told}");
    told.expect_failure().expect_mention(&["not READY in time"]);
    app.publish(&Behaviour::version("good"));
    app.wait_for_version("good", SOON);
}
