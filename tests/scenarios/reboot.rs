//! The port comes back with the machine. A test cannot outlive a reboot, so it is two: `tests/run`
//! runs the first, reboots the guest, and runs the second.

mod leaving;

use std::fs;
use std::mem;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager, Mode, Outcome, wait_until};
use serde_json::json;

use crate::metrics;

/// Not `reboot`: that is a target of systemd itself.
const NAME: &str = "comes-back";
const CLIENT: &str = "early-client";
/// An app that would drain for an hour.
const PATIENT: &str = "patient";

#[test]
fn before() {
    let app = App::named(NAME).install(&Behaviour::version("v1"));
    assert_eq!(app.get("/").version, "v1");
    // What failed before the reboot must not be all that is tried after it.
    app.settled();
    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    let _ = app.systemctl("reload").expect_failure();
    remember_metrics(&app);
    connect_at_boot(&app);
    leaving::before();
    if app.manager() == Manager::System {
        drain_for_an_hour();
    }
    // It has to be there after the reboot.
    mem::forget(app);
}

/// What was counted, once the request of the test is.
fn remember_metrics(app: &App) {
    let manager = app.manager();
    let text = wait_until("the request is counted", Duration::from_secs(30), || {
        let text = metrics::text(manager, NAME);
        let answered = |line: &str| {
            line.starts_with("portkeep_requests_answered_total") && !line.ends_with(" 0")
        };
        text.lines().any(answered).then_some(text)
    });
    fs::write(manager.apps_directory().join("before.metrics"), text).expect("it can be written");
}

/// An app whose client waits for an answer for longer than a shutdown may take. A reboot of the guest has a deadline of its own.
fn drain_for_an_hour() {
    let address = "127.0.0.1:8081";
    let app = App::named(PATIENT)
        .with("listen", json!([{ "stream": address }]))
        .with("drainTimeout", json!("1h"))
        .install(&Behaviour::version("v1"));
    let request = format!(
        r"exec 3<>/dev/tcp/{}; printf 'GET /slow?ms=3600000 HTTP/1.1\r\nHost: p\r\n\r\n' >&3; cat <&3",
        address.replace(':', "/")
    );
    // Nothing that a shutdown stops before the end.
    let client = [
        "--unit=patient-client",
        "--property=DefaultDependencies=no",
        "bash",
        "-c",
    ];
    let _ = run("systemd-run", client.into_iter().chain([request.as_str()])).expect_success();
    wait_until("the client is connected", Duration::from_secs(10), || {
        let connections = fs::read_to_string("/proc/net/tcp").ok()?;
        // 1F91 is the port; 01 is what connected sockets are.
        connections.contains(":1F91 01 ").then_some(())
    });
    // Connections are accepted in order: who is answered now came after it.
    let port = address.parse().expect("it is an address");
    let _ = portkeep_tests::request(port, "/", Duration::from_secs(10)).expect_answer();
    let limit = Path::new("/etc/systemd/system/portkeep-shutdown.service.d");
    fs::create_dir_all(limit).expect("a directory");
    fs::write(limit.join("sooner.conf"), "[Service]\nTimeoutStopSec=8s\n").expect("a drop-in");
    let _ = run("systemctl", ["daemon-reload"]).expect_success();
    mem::forget(app);
}

/// A client that connects from the first moment of the boot: every 20 ms, until it was answered for a while.
fn connect_at_boot(app: &App) {
    let manager = app.manager();
    let log = manager.apps_directory().join("early.log");
    let script = app.directory().join("early.sh");
    let text = format!(
        r#"exec >>{log}
answered=0
for attempt in $(seq 1 1000); do
  if exec 3<>/dev/tcp/127.0.0.1/8080; then
    printf 'GET / HTTP/1.1\r\nHost: early\r\nConnection: close\r\n\r\n' >&3
    read -r -t 10 line <&3 && [[ $line = *200* ]] && echo answered && answered=$((answered + 1)) || echo "cut: $line"
    exec 3>&-
  else
    echo refused
  fi 2>/dev/null
  [ $answered -lt 20 ] || break
  sleep 0.02
done
echo end
"#,
        log = log.display()
    );
    std::fs::write(&script, text).expect("the script can be written");
    let unit = format!(
        "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/bash {}\n[Install]\nWantedBy={}\n",
        script.display(),
        match manager {
            Manager::System => "sysinit.target",
            Manager::User => "default.target",
        }
    );
    let directory = unit_directory(manager);
    std::fs::create_dir_all(&directory).expect("it can be made");
    std::fs::write(directory.join(format!("{CLIENT}.service")), unit)
        .expect("the unit can be written");
    let _ = manager
        .systemctl(&["enable", &format!("{CLIENT}.service")])
        .expect_success();
}

fn unit_directory(manager: Manager) -> std::path::PathBuf {
    match manager {
        Manager::System => "/etc/systemd/system".into(),
        Manager::User => {
            let home = std::env::var_os("HOME").expect("HOME is set");
            std::path::PathBuf::from(home).join(".config/systemd/user")
        }
    }
}

#[test]
fn after() {
    let manager = Manager::of_this_process();
    let socket = format!("{NAME}.socket");
    assert_eq!(manager.property(&socket, "ActiveState"), "active");
    // Whoever came early was refused only until the socket was there, and answered from then on.
    let log = manager.apps_directory().join("early.log");
    let log = wait_until(
        "the early client has ended",
        Duration::from_secs(15),
        || {
            let log = std::fs::read_to_string(&log).ok()?;
            log.contains("end").then_some(log)
        },
    );
    let after_first = log.lines().skip_while(|line| *line != "answered");
    let words: Vec<_> = after_first.collect();
    assert_eq!(
        words.iter().filter(|word| **word == "refused").count(),
        0,
        "{log}"
    );
    assert!(
        words.iter().filter(|word| **word == "answered").count() >= 10,
        "{log}"
    );
    let refused = log.lines().filter(|line| *line == "refused").count();
    println!(
        "measured: {NAME}: an early client was refused {refused} times before the socket was there, then answered {} times, never refused again",
        words.len() - 1
    );
    // A shutdown settles no end: what the generation had answered is remembered all the same.
    let before = fs::read_to_string(manager.apps_directory().join("before.metrics"));
    let before = metrics::counters(&before.expect("it can be read"));
    let after = metrics::counters(&metrics::text(manager, NAME));
    metrics::expect_none_fell(&before, &after);

    let client = format!("{CLIENT}.service");
    let _ = manager.systemctl(&["disable", &client]);
    let _ = std::fs::remove_file(unit_directory(manager).join(client));

    let address = SocketAddr::from(([127, 0, 0, 1], 8080));
    wait_until(
        "the first connection starts the last good version",
        Duration::from_secs(5),
        || {
            let outcome = portkeep_tests::request(address, "/", Duration::from_secs(5));
            assert_ne!(outcome, Outcome::Refused, "the port was closed");
            (outcome.version() == Some("v1")).then_some(())
        },
    );
    if manager == Manager::System {
        let _ = run("portkeep", ["uninstall", "--system", PATIENT]).expect_success();
        let _ = fs::remove_dir_all("/etc/systemd/system/portkeep-shutdown.service.d");
    }
    leaving::after();
}
