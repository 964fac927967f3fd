//! Connections of clients outlive the processes that serve them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use portkeep_tests::{App, Behaviour, Steady, wait_until};

const RELOADS: u32 = 20;
const TAKEN_OVER: Duration = Duration::from_secs(1);

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
    thread::sleep(Duration::from_millis(1500));
    let kept = steady.finish();
    println!(
        "measured: {RELOADS} reloads, 50 connections: {} answers, {} connections ended, slowest {:?}",
        kept.answers,
        kept.ended.len(),
        kept.slowest
    );
    kept.expect_all(5000);
    assert!(kept.versions.contains(&last), "{:?}", kept.versions);
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
