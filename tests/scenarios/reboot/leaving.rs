//! A reboot takes an app out by itself, for the boot; and what a person has taken out stays so.

use std::fs;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager, Outcome, wait_until};
use serde_json::{Value, json};

use crate::{journal, metrics};

const SOON: Duration = Duration::from_secs(60);

const GRACE: Duration = Duration::from_secs(2);

const LEAVER: &str = "leaver";
const PORT: u16 = 8082;
const HEALTH: u16 = 8083;
/// Of the entry that says that an app leaves with the machine.
const LEAVES: &str = "29760d06fc31481ba4a1495a6065cd9a";
/// One that a person takes out before.
const OUT: &str = "out-for-good";
const OUT_PORT: u16 = 8084;
const OUT_HEALTH: u16 = 8085;

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn app(name: &str, port: u16, health: u16) -> App {
    App::named(name)
        .with("listen", json!([{ "stream": local(port).to_string() }]))
        .with("health", json!(local(health).to_string()))
        .with("drainGrace", json!("2s"))
        .install(&Behaviour::version("v1"))
}

fn ready(port: u16) -> Outcome {
    portkeep_tests::request(local(port), "/readyz", Duration::from_secs(10))
}

pub(super) fn before() {
    let leaver = app(LEAVER, PORT, HEALTH);
    let log = leaver.manager().apps_directory().join("leaving.log");
    let script = leaver.directory().join("leaving.sh");
    fs::write(&script, client(&log.display().to_string())).expect("the script can be written");
    let mut words = vec![
        "--unit=leaving-client",
        // Nothing that a shutdown stops before the end, as it does slices with all that is in them.
        "--property=DefaultDependencies=no",
        "--property=Slice=-.slice",
        "bash",
    ];
    if leaver.manager() == Manager::User {
        words.insert(0, "--user");
    }
    let script = script.to_string_lossy();
    let _ = run("systemd-run", words.into_iter().chain([&*script])).expect_success();
    wait_until("a client is connected and asks", SOON, || {
        let log = fs::read_to_string(&log).ok()?;
        (log.matches("kept 200").count() > 5).then_some(())
    });
    let out = app(OUT, OUT_PORT, OUT_HEALTH);
    let _ = out.get("/");
    let _ = out.portkeep("drain", &["--grace", "0s"]).expect_success();
    assert_eq!(ready(OUT_HEALTH), Outcome::Status(503));
    // They have to be there after the reboot.
    mem::forget((leaver, out));
}

/// Asks, in this order and again and again: the health socket, the app by a new connection, and the app by one that is kept. Says
/// when, and what came of it.
fn client(log: &str) -> String {
    format!(
        r#"exec >>{log} 2>/dev/null
trap '' PIPE
say() {{ echo "$EPOCHREALTIME $1"; }}
status() {{ # NAME PORT PATH
  local line=
  if exec 4<>/dev/tcp/127.0.0.1/$2; then
    printf 'GET %s HTTP/1.0\r\nHost: l\r\n\r\n' "$3" >&4
    read -r -t 20 line <&4
    say "$1 ${{line:9:3}}"
    exec 4>&-
  else
    say "$1 refused"
  fi
}}
keep() {{
  local line= status= close= length=0
  printf 'GET / HTTP/1.1\r\nHost: kept\r\n\r\n' >&3
  while read -r -t 20 line <&3; do
    line=${{line%$'\r'}}
    case ${{line,,}} in
      '') break ;;
      http/*) status=${{line:9:3}} ;;
      connection:*close*) close=1 ;;
      content-length:*) length=${{line##* }} ;;
    esac
  done
  read -r -t 20 -N "$length" line <&3
  if [ -n "$status" ] && [ -z "$close" ]; then say "kept $status"; return; fi
  if [ "$status" = 200 ]; then say 'kept ends'; else say "kept cut $status"; fi
  kept=
  exec 3>&-
}}
exec 3<>/dev/tcp/127.0.0.1/{PORT} && kept=1
while :; do
  status health {HEALTH} /readyz
  status new {PORT} /
  [ -z "$kept" ] || keep
  sleep 0.05
done
"#
    )
}

/// What a client saw, and when.
struct Seen<'a> {
    at: Timestamp,
    what: &'a str,
}

fn seen(line: &str) -> Option<Seen<'_>> {
    let (at, what) = line.split_once(' ')?;
    let microseconds = at.replace('.', "").parse().ok()?;
    let at = Timestamp::from_microsecond(microseconds).ok()?;
    Some(Seen { at, what })
}

pub(super) fn after() {
    let manager = Manager::of_this_process();
    let log = fs::read_to_string(manager.apps_directory().join("leaving.log")).expect("a log");
    let all: Vec<_> = log.lines().filter_map(seen).collect();
    let first = |wanted: &str| all.iter().position(|one| one.what == wanted);
    let told = first("health 503").unwrap_or_else(|| panic!("nobody was told: {log}"));
    let ends = first("kept ends").unwrap_or_else(|| panic!("no end in good order: {log}"));
    assert!(told < ends, "told first: {log}");
    let serves = |one: &&Seen<'_>| one.what == "new 200" || one.what == "kept 200";
    assert!(
        all[..told].iter().any(|one| one.what == "health 200"),
        "{log}"
    );
    let in_the_grace = all[told..ends].iter().filter(serves).count();
    assert!(in_the_grace > 0, "it served nobody in the grace: {log}");
    println!(
        "measured: a shutdown: told, then {in_the_grace} more requests in a grace of 2 s, then the end"
    );
    // Until the grace is over it serves as ever. After it, whoever comes newly may find nobody; systemd closes the port then.
    let outs = events(manager, LEAVER, "taken-out");
    let causes: Vec<_> = outs.iter().map(|event| &event["cause"]).collect();
    assert_eq!(causes, [&json!("shutdown")], "{outs:?}");
    let since: Timestamp = outs[0]["at"]
        .as_str()
        .and_then(|at| at.parse().ok())
        .expect("a time");
    let in_order = ["health 200", "health 503", "new 200", "kept 200"];
    let is_lost = |one: &&Seen<'_>| one.at < since + GRACE && !in_order.contains(&one.what);
    let lost = all.iter().find(is_lost).map(|one| one.what);
    assert_eq!(lost, None, "in the grace: {log}");

    expect_entry(manager);

    // It was for that boot only.
    wait_until("it is back by itself", SOON, || {
        matches!(ready(HEALTH), Outcome::Answer(_)).then_some(())
    });
    let counted = metrics::text(manager, LEAVER);
    assert!(counted.contains("cause=\"shutdown\"} 1\n"), "{counted}");

    // What a person wants lasts until he ends it.
    wait_until("somebody answers", SOON, || {
        (ready(OUT_HEALTH) == Outcome::Status(503)).then_some(())
    });
    let outs = events(manager, OUT, "taken-out");
    assert_eq!(outs.len(), 1, "a shutdown adds nothing: {outs:?}");
    let flag = manager.flag();
    let status = run("portkeep", ["status", flag, OUT]).expect_success();
    status.expect_mention(&["taken out"]);
    let _ = run("portkeep", ["undrain", flag, OUT]).expect_success();
    assert!(matches!(ready(OUT_HEALTH), Outcome::Answer(_)));
    let _ = run("portkeep", ["uninstall", flag, LEAVER, OUT]).expect_success();
}

/// The journal of the last boot says it, once; and nothing of the app that was out before.
fn expect_entry(manager: Manager) {
    let entries = journal::entries(manager, LEAVER, LEAVES);
    let [entry] = &entries[..] else {
        panic!("one shutdown, and not one entry: {entries:#?}");
    };
    journal::expect(
        entry,
        &[
            ("MESSAGE_ID", LEAVES),
            ("SYSLOG_IDENTIFIER", "portkeep"),
            ("PRIORITY", "6"),
            ("PORTKEEP_APP", LEAVER),
            ("PORTKEEP_MANAGER", &manager.flag()[2..]),
            ("PORTKEEP_DECISION", "leaves"),
            ("PORTKEEP_GENERATION", "1"),
            ("PORTKEEP_REASON", "the machine shuts down"),
        ],
    );
    let message = entry["MESSAGE"].as_str().unwrap_or_default();
    assert!(message.contains("the machine shuts down"), "{entry:#}");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot has an id");
    assert_ne!(entry["_BOOT_ID"], boot.trim().replace('-', ""), "{entry:#}");
    let none: [Value; 0] = [];
    assert_eq!(journal::entries(manager, OUT, LEAVES), none);
}

fn events(manager: Manager, name: &str, kind: &str) -> Vec<Value> {
    let told = run("portkeep", ["history", manager.flag(), name, "--json"]).expect_success();
    let events: Vec<Value> = serde_json::from_str(&told.stdout).expect("events");
    events
        .into_iter()
        .filter(|event| event["event"] == kind)
        .collect()
}
