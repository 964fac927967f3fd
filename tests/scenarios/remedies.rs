//! What `doctor` says helps, helps: each fault is made, the commands that are printed are run as they stand, and it is asked again.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager, Mode, Outcome, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(15);
const NEEDS_A_PERSON: i32 = 4;

/// What `doctor` prints of an app: the commands behind `$`, and its exit code.
struct Told {
    commands: Vec<String>,
    text: String,
    code: Option<i32>,
}

fn ask(app: &App) -> Told {
    let told = app.portkeep("doctor", &[]);
    let name = app.unit("");
    let mut is_ours = false;
    let mut commands = Vec::new();
    for line in told.stdout.lines() {
        if let Some((_, about)) = line.split_once(": ")
            && !line.starts_with(' ')
        {
            is_ours = about == name;
        }
        commands.extend(line.strip_prefix("    $ ").filter(|_| is_ours));
    }
    Told {
        commands: commands.into_iter().map(str::to_owned).collect(),
        code: told.code,
        text: told.to_string(),
    }
}

fn codes(app: &App) -> Vec<String> {
    let told = app.portkeep("doctor", &["--json"]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let findings = told["findings"].as_array().unwrap().iter();
    findings
        .filter(|one| one["app"] == app.unit(""))
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn expect_well(app: &App) {
    assert_eq!(codes(app), [""; 0], "{}", ask(app).text);
}

/// Expects that this is found, does what only a person can do, runs what is printed, and expects that all is well then.
#[track_caller]
fn expect_remedy(app: &App, found: &str, is_problem: bool, by_person: impl FnOnce()) {
    let told = ask(app);
    let codes = codes(app);
    assert!(
        codes.iter().any(|code| code == found),
        "{codes:?}: {}",
        told.text
    );
    let code = if is_problem { NEEDS_A_PERSON } else { 0 };
    assert_eq!(told.code, Some(code), "{}", told.text);
    assert!(!told.commands.is_empty(), "{}", told.text);
    let status = app.portkeep("status", &[]).expect_success();
    by_person();
    for command in &told.commands {
        let done = run("sh", ["-c", command]);
        assert_eq!(done.code, Some(0), "{}\n{done}\n{status}", told.text);
    }
    expect_well(app);
}

#[track_caller]
fn expect_remedied(app: &App, found: &str, is_problem: bool) {
    expect_remedy(app, found, is_problem, || {});
}

/// Expects these words in what `status` prints, wherever its lines end.
#[track_caller]
fn expect_status(app: &App, words: &str) {
    let told = app.portkeep("status", &[]).expect_success();
    let text: Vec<_> = told.stdout.split_whitespace().collect();
    assert!(
        text.join(" ").contains(words),
        "{words} is missing in {told}"
    );
}

fn is_system() -> bool {
    Manager::of_this_process() == Manager::System
}

fn unit_directory() -> PathBuf {
    match Manager::of_this_process() {
        Manager::System => "/etc/systemd/system".into(),
        Manager::User => {
            PathBuf::from(std::env::var_os("HOME").unwrap()).join(".config/systemd/user")
        }
    }
}

/// A drop-in of a unit, by default the generations', which goes with this.
struct DropIn(PathBuf);

impl DropIn {
    fn write(app: &App, text: &str) -> Self {
        Self::of_unit(&app.unit("@.service"), "60-mine.conf", text)
    }

    fn of_unit(unit: &str, name: &str, text: &str) -> Self {
        let directory = unit_directory().join(format!("{unit}.d"));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for DropIn {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn daemon_reload(app: &App) {
    let _ = app.manager().systemctl(&["daemon-reload"]).expect_success();
}

#[test]
fn drop_ins_that_are_not_applied() {
    let app = App::named("edited").serve(&Behaviour::version("v1"));
    expect_well(&app);
    let drop_in = DropIn::write(&app, "[Service]\nNice=3\n");
    expect_status(&app, "drop-ins changed on disk");
    expect_remedied(&app, "daemon-reload", true);
    let nice = || {
        let unit = app.generations().pop().unwrap();
        app.manager().property(&unit, "Nice")
    };
    assert_eq!(nice(), "3");
    // As `systemctl edit` leaves it.
    fs::write(&drop_in.0, "[Service]\nNice=4\n").unwrap();
    daemon_reload(&app);
    expect_status(&app, "drop-ins");
    expect_remedied(&app, "settings-not-applied", false);
    assert_eq!(nice(), "4");
}

#[test]
fn time_limits_that_cut_what_the_spec_promises() {
    let app = App::named("hurried")
        .with("health", json!("127.0.0.1:8090"))
        .with("drainGrace", json!("20s"))
        .serve(&Behaviour::version("v1"));
    expect_well(&app);
    let short = |unit: &str, name: &str| {
        let drop_in = DropIn::of_unit(unit, name, "[Service]\nTimeoutStopSec=5s\n");
        daemon_reload(&app);
        drop_in
    };
    let refused = |grace: &str| {
        let told = app.portkeep("drain", &["--grace", grace]);
        assert_eq!(told.code, Some(2), "{told}");
        told.expect_mention(&["TimeoutStopSec=", "portkeep doctor"]);
        assert!(!app.portkeep("status", &[]).stdout.contains("taken out"));
    };
    // As `systemctl edit` calls it, and with a name that is read later.
    let leave = app.unit("-leave.service");
    for name in ["override.conf", "zz-last.conf"] {
        let _drop_in = short(&leave, name);
        refused("6s");
        expect_remedied(&app, "stop-limit", false);
        let _ = fs::remove_dir_all(unit_directory().join(format!("{leave}.d")));
        daemon_reload(&app);
    }
    // It is stopped after the grace, which it does not cut.
    let generation = short(&app.unit("@.service"), "60-mine.conf");
    app.reload();
    expect_remedied(&app, "stop-limit", false);
    let current = app.generations().pop().unwrap();
    let limit = app.manager().property(&current, "TimeoutStopUSec");
    assert_eq!(limit, "30s");
    drop(generation);
    if is_system() {
        // A user's manager is a unit of the system's, which only root may change.
        let unit = "portkeep-shutdown.service";
        let _drop_in = short(unit, "override.conf");
        refused("5s");
        // Without a grace of its own, that of the spec counts.
        let told = app.portkeep("drain", &[]);
        assert_eq!(told.code, Some(2), "{told}");
        let _ = app.portkeep("drain", &["--grace", "4s"]).expect_success();
        // It is taken out, and stays so.
        let _ = app.portkeep("drain", &["--grace", "6s"]).expect_success();
        let _ = app.portkeep("undrain", &[]).expect_success();
        expect_remedied(&app, "stop-limit", false);
        fs::remove_dir_all(unit_directory().join(format!("{unit}.d"))).unwrap();

        // The manager's own setting.
        let settings = std::path::Path::new("/etc/systemd/system.conf.d");
        fs::create_dir_all(settings).unwrap();
        let file = settings.join("60-hurried.conf");
        fs::write(&file, "[Manager]\nDefaultTimeoutStopSec=5s\n").unwrap();
        // It goes, whatever comes.
        let _settings = DropIn(file);
        daemon_reload(&app);
        refused("5s");
        expect_remedied(&app, "stop-limit", false);
        fs::remove_dir_all(unit_directory().join(format!("{unit}.d"))).unwrap();
    }
    let template = app.unit("@.service.d/60-stop-limit.conf");
    let _ = fs::remove_file(unit_directory().join(template));
    daemon_reload(&app);
}

#[test]
fn a_release_that_does_not_serve() {
    let app = App::named("behind").serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2"));
    expect_remedied(&app, "not-handed-over", false);
    assert_eq!(app.get("/").version, "v2");
    // The same build once more, in another file.
    app.publish(&Behaviour::version("v2"));
    expect_well(&app);

    app.publish(&Behaviour::version("v3").mode(Mode::Exit));
    let _ = app.portkeep("reload", &[]).expect_failure();
    expect_status(&app, "what served before serves on");
    // What failed is taken back: nothing is wrong any more.
    app.publish(&Behaviour::version("v2"));
    expect_well(&app);
    app.publish(&Behaviour::version("v3").mode(Mode::Exit));
    expect_remedy(&app, "last-handover-failed", false, || {
        app.publish(&Behaviour::version("v4"));
    });
    assert_eq!(app.get("/").version, "v4");
}

#[test]
fn a_release_that_was_rolled_back() {
    let app = App::named("back").serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2"));
    app.reload();
    let _ = app.portkeep("rollback", &[]).expect_success();
    expect_status(&app, "it was rolled back");
    expect_remedied(&app, "rolled-back", false);
    app.wait_for_version("v2", SOON);
}

#[test]
fn a_release_that_gave_way_after_crashes() {
    let app = App::named("gave-way")
        .with("restart", json!({ "delay": "20ms", "rollbackAfter": 2 }))
        .serve(&Behaviour::version("v1"));
    let after = Duration::from_millis(200);
    app.publish(&Behaviour::version("v2").mode(Mode::SegvAfterReady { after }));
    app.reload();
    wait_until("v1 is brought back", SOON, || {
        let mut history = app.history().into_iter();
        history.find(|event| event["result"] == "fell-back")
    });
    app.wait_for_version("v1", SOON);
    expect_remedy(&app, "fell-back", true, || {
        app.publish(&Behaviour::version("v3"));
    });
    app.wait_for_version("v3", SOON);
}

#[test]
fn a_helper_that_does_not_run() {
    let app = App::named("helpless").serve(&Behaviour::version("v1"));
    let command = app.manager().property(&app.unit(".service"), "ExecStart");
    let helper = command.split("path=").nth(1).unwrap();
    let helper = PathBuf::from(helper.split(' ').next().unwrap());
    fs::remove_file(&helper).unwrap();
    expect_status(&app, "which is missing");
    expect_remedied(&app, "helper", true);
    // Not written over: the file may be shared, and may be running.
    let replace = |text: &[u8], mode| {
        fs::remove_file(&helper).unwrap();
        fs::write(&helper, text).unwrap();
        fs::set_permissions(&helper, Permissions::from_mode(mode)).unwrap();
    };
    replace(b"#!/bin/sh\necho portkeep 1\n", 0o644);
    expect_remedied(&app, "helper", true);
    for text in [
        &b"\x7fELF\x02\x01\x01\0another machine's"[..],
        b"#!/no/such/interpreter\n",
        b"#!/bin/sh\nexit 0\n",
    ] {
        replace(text, 0o755);
        expect_remedied(&app, "helper", true);
    }
}

#[test]
fn a_directory_that_others_may_write() {
    let app = App::named("open-dir").serve(&Behaviour::version("v1"));
    let directory = app.manager().state_directory();
    fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
    expect_remedied(&app, "directory", true);
}

#[test]
fn a_directory_that_nothing_is_executed_from() {
    if !is_system() {
        // Only root can mount.
        return;
    }
    let state = Manager::System.state_directory().join("no-exec");
    fs::create_dir_all(&state).unwrap();
    let state = state.to_str().unwrap().to_owned();
    let _ = run(
        "mount",
        ["-t", "tmpfs", "-o", "mode=755", "no-exec", &state],
    )
    .expect_success();
    let app = App::named("no-exec").serve(&Behaviour::version("v1"));
    let forbid = || drop(run("mount", ["-o", "remount,noexec", &state]).expect_success());
    forbid();
    expect_status(&app, "is mounted with noexec");
    expect_remedied(&app, "no-exec", true);
    forbid();
    app.publish(&Behaviour::version("v2"));
    let _ = app.portkeep("reload", &[]).expect_failure();
    expect_remedied(&app, "no-exec", true);
    app.wait_for_version("v2", SOON);
    drop(app);
    let _ = run("umount", ["--lazy", &state]).expect_success();
}

#[test]
fn an_address_that_is_not_there() {
    if !is_system() {
        // Only root can give the machine an address.
        return;
    }
    let app = App::named("no-address")
        .with(
            "listen",
            json!([
                { "name": "http", "stream": "127.0.0.1:8080" },
                { "name": "later", "stream": "192.0.2.9:8081" },
            ]),
        )
        .serve(&Behaviour::version("v1"));
    expect_status(&app, "192.0.2.9, which no interface");
    expect_remedied(&app, "address-missing", false);
    let _ = run("ip", ["address", "del", "192.0.2.9/32", "dev", "lo"]).expect_success();
}

#[test]
fn a_move_socket_that_is_dead() {
    let app = App::named("unmoved").serve(&Behaviour::version("v1"));
    fs::remove_file(app.run_directory().join("move")).unwrap();
    expect_status(&app, "-move.socket active, but nobody can connect");
    expect_remedied(&app, "move-socket-without-descriptor", false);
    let stop = ["stop", "unmoved-move.socket"];
    let _ = app.manager().systemctl(&stop).expect_success();
    expect_remedied(&app, "move-socket-closed", false);
}

#[test]
fn a_path_that_nobody_can_connect_by() {
    let path = Manager::of_this_process()
        .apps_directory()
        .join("lost.sock");
    let app = App::named("lost-path")
        .with(
            "listen",
            json!([
                { "name": "http", "stream": "127.0.0.1:8080" },
                { "name": "local", "stream": path },
            ]),
        )
        .serve(&Behaviour::version("v1"));
    fs::remove_file(&path).unwrap();
    expect_remedied(&app, "socket-path-lost", true);
    assert!(path.exists());
}

#[test]
fn a_port_that_is_closed_or_taken() {
    let app = App::named("shut").serve(&Behaviour::version("v1"));
    let close = || {
        let units = ["stop", "shut.target", "shut.service", "shut@*.service"];
        let _ = app.manager().systemctl(&units).expect_success();
        wait_until("the port is closed", SOON, || {
            (app.request("/") == Outcome::Refused).then_some(())
        });
    };
    close();
    expect_remedied(&app, "port-closed", true);
    close();
    let mut thief = Command::new("systemd-socket-activate")
        .args(["--listen", "127.0.0.1:8080", "/bin/true"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("it listens", SOON, || {
        let told = run("portkeep", ["port", "127.0.0.1:8080"]);
        told.stdout.contains("is held").then_some(())
    });
    expect_remedied(&app, "port-taken", true);
    thief.wait().unwrap();
    app.wait_for_version("v1", SOON);
}

#[test]
fn units_that_were_edited() {
    let app = App::named("units").serve(&Behaviour::version("v1"));
    let handle = unit_directory().join("units.service");
    let text = fs::read_to_string(&handle).unwrap();
    fs::write(&handle, format!("{text}# mine\n")).unwrap();
    expect_remedied(&app, "outdated-units", true);
    assert_eq!(fs::read_to_string(&handle).unwrap(), text);
    let _ = app
        .manager()
        .systemctl(&["disable", "units.socket"])
        .expect_success();
    expect_remedied(&app, "not-enabled", false);

    // Another address, and a daemon-reload: the socket unit stays active without a socket.
    let socket = unit_directory().join("units.socket");
    let text = fs::read_to_string(&socket).unwrap();
    fs::write(&socket, text.replace(":8080", ":8090")).unwrap();
    daemon_reload(&app);
    expect_remedied(&app, "socket-without-descriptor", true);
    app.wait_for_version("v1", SOON);
}

#[test]
fn nothing_to_start() {
    let app = App::named("empty").serve(&Behaviour::version("v1"));
    app.remove_executable();
    expect_remedy(&app, "executable", true, || {
        app.publish(&Behaviour::version("v2"));
    });
    app.wait_for_version("v2", SOON);
    let spec = match Manager::of_this_process() {
        Manager::System => PathBuf::from("/etc/portkeep/empty.json"),
        Manager::User => {
            PathBuf::from(std::env::var_os("HOME").unwrap()).join(".config/portkeep/empty.json")
        }
    };
    let text = fs::read_to_string(&spec).unwrap();
    fs::write(&spec, "{").unwrap();
    expect_remedy(&app, "spec", true, || fs::write(&spec, &text).unwrap());
}

#[test]
fn nothing_serves() {
    let bad = Behaviour::version("v1").mode(Mode::Exit);
    let app = App::named("held").install(&bad);
    app.wait_for_status(503, SOON);
    expect_remedy(&app, "holding-page", true, || {
        app.publish(&Behaviour::version("v2"));
    });
    app.wait_for_version("v2", SOON);
    drop(app);

    // Without a page connections wait, and the start is tried again and again.
    let listen = json!([{ "stream": "127.0.0.1:8080", "protocol": "raw" }]);
    let app = App::named("waits").with("listen", listen).install(&bad);
    let connection = TcpStream::connect(app.address()).unwrap();
    wait_until("it was tried", SOON, || {
        (!app.history().is_empty()).then_some(())
    });
    expect_remedy(&app, "nothing-serves", true, || {
        app.publish(&Behaviour::version("v2"));
    });
    drop(connection);
}

#[test]
fn generations_that_are_not_as_they_should_be() {
    let app = App::named("odd").serve(&Behaviour::version("v1"));
    app.kill_and_wait("@1.service", "KILL");
    expect_remedied(&app, "crashes", false);
    app.wait_for_only_one();
    app.kill_helper_at("switched");
    app.publish(&Behaviour::version("v2"));
    let _ = app.systemctl("reload").expect_failure();
    assert!(app.helper_was_killed());
    expect_remedied(&app, "two-current", true);
}
