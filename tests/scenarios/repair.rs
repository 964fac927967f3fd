//! What people and machines do at the wrong moment, and what is made of it.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use portkeep_tests::{App, Behaviour, Manager, Mode, wait_until};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_start_that_somebody_stopped_is_no_fault_of_the_release() {
    let app = App::named("stopped").serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2").start_delay(Duration::from_secs(2)));
    thread::scope(|scope| {
        let reload = scope.spawn(|| app.systemctl("reload"));
        let starting = app.unit("@2.service");
        wait_until("v2 starts", SOON, || {
            (app.manager().property(&starting, "ActiveState") == "activating").then_some(())
        });
        let _ = app.systemctl("stop").expect_success();
        let _ = reload.join().expect("the reload ends").expect_failure();
    });
    // The next connection starts what was asked for, not what was good before.
    app.wait_for_version("v2", SOON);
}

#[test]
fn an_unreadable_spec_does_not_leave_connections_hanging() {
    let app = App::named("no-spec").serve(&Behaviour::version("v1"));
    let spec = installed_spec("no-spec");
    let good = fs::read(&spec).expect("the spec is there");
    fs::write(&spec, "{").expect("the spec can be written");
    let generations = app.unit("@*.service");
    let kill = ["kill", "--signal=TERM", &generations];
    let _ = app.manager().systemctl(&kill).expect_success();
    wait_until("the handle is dropped", SOON, || {
        let state = app.manager().property(&app.unit(".service"), "ActiveState");
        (state != "active").then_some(())
    });
    fs::write(&spec, good).expect("the spec can be written");
    app.wait_for_version("v1", SOON);
}

#[test]
fn a_stopped_app_stays_stopped_when_other_services_start() {
    let app = App::named("closed").serve(&Behaviour::version("v1"));
    let target = app.unit(".target");
    let _ = app.manager().systemctl(&["stop", &target]).expect_success();
    let socket = app.unit(".socket");
    let inactive = || (app.manager().property(&socket, "ActiveState") == "inactive").then_some(());
    wait_until("the port is closed", SOON, inactive);
    let other = [app.manager().flag(), "--quiet", "--wait", "true"];
    let _ = portkeep_tests::command::run("systemd-run", other).expect_success();
    assert!(
        inactive().is_some(),
        "the start of another service opened it"
    );
}

#[test]
fn a_file_that_cannot_be_run_is_looked_at_once() {
    if Manager::of_this_process() == Manager::System {
        // Watching is for development: the system manager gets no path unit.
        return;
    }
    let app = App::named("not-executable")
        .watched()
        .serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    let refused = || {
        app.portkeep("history", &["--json"])
            .expect_success()
            .stdout
            .matches("\"purpose\": \"deploy\"")
            .count()
    };
    wait_until("v2 is refused", SOON, || (refused() == 1).then_some(()));
    thread::sleep(Duration::from_secs(2));
    assert_eq!(
        refused(),
        1,
        "the re-check deploys it again and again: {:#?}",
        app.history()
    );
}

/// Where `portkeep install` put the spec.
fn installed_spec(name: &str) -> PathBuf {
    let file = format!("{name}.json");
    match Manager::of_this_process() {
        Manager::System => PathBuf::from("/etc/portkeep").join(file),
        Manager::User => {
            let home = std::env::var_os("HOME").expect("HOME is set");
            PathBuf::from(home).join(".config/portkeep").join(file)
        }
    }
}
