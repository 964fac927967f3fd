//! Connections of clients outlive the processes that serve them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use portkeep_tests::{App, Behaviour, Steady, wait_until};
use serde_json::json;

const RELOADS: u32 = 20;
const TAKEN_OVER: Duration = Duration::from_secs(10);

/// In the sandbox that is the default, through twenty generations.
#[test]
fn no_connection_is_closed_by_a_reload() {
    let app = App::named("moves").serve(&Behaviour::version("v0"));
    let pauses = [
        (20, Duration::ZERO),
        (20, Duration::from_millis(20)),
        (10, Duration::from_secs(1)),
    ];
    let steady = Steady::start(app.address(), &pauses);
    for number in 1..=RELOADS {
        let version = format!("v{number}");
        app.publish(&Behaviour::version(&version));
        app.reload();
        app.wait_for_version(&version, TAKEN_OVER);
    }
    let last = format!("v{RELOADS}");
    // Sooner than idle connections would be closed: they are gone, not waited for.
    wait_until("the old ones have ended", Duration::from_secs(4), || {
        (app.generations().len() == 1).then_some(())
    });
    // Each asks once more.
    let kept = steady.finish();
    println!("measured: {RELOADS} reloads, 50 connections: {kept}");
    // Load at all: as many as there are connections, between two reloads.
    kept.expect_all(50 * u64::from(RELOADS));
    assert!(kept.versions.contains(&last), "{:?}", kept.versions);
}

/// What the old generation did is told by the history, after it has ended.
#[test]
fn the_history_says_what_was_moved_and_cut() {
    let app = App::named("accounts")
        .with("drainTimeout", json!("1s"))
        .serve(&Behaviour::version("v1"));
    let mut idle = TcpStream::connect(app.address()).unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .unwrap();
    assert!(idle.read(&mut [0; 1024]).unwrap() > 0);
    let mut busy = TcpStream::connect(app.address()).unwrap();
    busy.write_all(b"GET /slow?ms=60000 HTTP/1.1\r\nHost: test\r\n\r\n")
        .unwrap();
    // Accepted after both of them.
    assert_eq!(app.get("/").version, "v1");
    app.publish(&Behaviour::version("v2"));
    app.reload();
    let drained = wait_until(
        "the history tells of the drain",
        Duration::from_secs(10),
        || {
            let history = app.portkeep("history", &["--json"]).expect_success().stdout;
            let events: Vec<serde_json::Value> = serde_json::from_str(&history).unwrap();
            events.into_iter().find(|event| event["event"] == "drained")
        },
    );
    assert_eq!(drained["generation"], 1, "{drained}");
    let status = drained["status"].as_str().unwrap();
    assert!(
        status.contains("1 moved, 0 idle closed, cut 1: 1 busy"),
        "{drained}"
    );
    app.portkeep("history", &[])
        .expect_mention(&["cut 1: 1 busy"]);
}

/// A client that keeps its connection does not start an app again that was stopped: the old process
/// asks nobody to take it over.
#[test]
fn a_stopped_app_stays_stopped() {
    let app = App::named("stays-stopped").serve(&Behaviour::version("v1"));
    let mut client = TcpStream::connect(app.address()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .unwrap();
    let mut bytes = [0; 1024];
    assert!(client.read(&mut bytes).unwrap() > 0);
    let _ = app.systemctl("stop").expect_success();
    assert_eq!(
        client.read(&mut bytes).unwrap(),
        0,
        "it was closed after the linger time"
    );
    drop(client);
    wait_until("it has ended", Duration::from_secs(5), || {
        app.generations().is_empty().then_some(())
    });
    // Long enough for a start that something had asked for.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(app.generations(), Vec::<String>::new());
    let handle = app.manager().property(&app.unit(".service"), "ActiveState");
    assert_eq!(handle, "inactive");
}
