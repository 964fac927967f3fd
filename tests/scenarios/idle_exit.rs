//! Scale to zero: an app that nobody asks anything ends, and is there again for whoever comes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use portkeep_tests::{App, Behaviour, Moment, wait_until};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

fn gone(app: &App) {
    wait_until("it has ended by itself", SOON, || {
        let handle = app.manager().property(&app.unit(".service"), "ActiveState");
        (app.generations().is_empty() && handle == "inactive").then_some(())
    });
    let socket = app.manager().property(&app.unit(".socket"), "SubState");
    assert_eq!(socket, "listening");
}

#[test]
fn an_idle_app_ends_and_the_next_connection_starts_it() {
    let app = App::named("rests")
        .with("idleExit", json!("1s"))
        .serve(&Behaviour::version("v1"));
    // A client that keeps its connection does not keep the app.
    let mut idle = TcpStream::connect(app.address()).unwrap();
    idle.set_read_timeout(Some(SOON)).unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .unwrap();
    let mut bytes = [0; 1024];
    assert!(idle.read(&mut bytes).unwrap() > 0);
    assert_eq!(idle.read(&mut bytes).unwrap(), 0, "it was closed");
    drop(idle);
    gone(&app);

    let began = Instant::now();
    let answer = app.get("/");
    let took = began.elapsed();
    assert_eq!(answer.version, "v1");
    println!("measured: first answer of an app that rested: {took:?}");
    // It goes on like this, and the last good release is still trusted.
    gone(&app);
    assert_eq!(app.get("/").version, "v1");
    // A handover of an app that rests needs nobody to run before.
    gone(&app);
    app.publish(&Behaviour::version("v2"));
    assert_eq!(app.get("/").version, "v2");
}

/// Clients that come about as often as the app ends: none is refused, all are answered.
#[test]
fn who_comes_in_the_moment_of_the_end_is_served() {
    let app = App::named("rests-often")
        .with("idleExit", json!("150ms"))
        .serve(&Behaviour::version("v1"));
    let (mut moment, mut slowest) = (Moment::around(Duration::from_millis(150)), Duration::ZERO);
    while moment.clients() < 40 || moment.hits() < 10 {
        moment.wait();
        let began = Instant::now();
        let generation = generation(&app);
        slowest = slowest.max(began.elapsed());
        moment.served_by(generation);
    }
    println!("measured: {moment} of an app that rests after 150 ms, slowest {slowest:?}");
}

fn generation(app: &App) -> u64 {
    let answer = app.get("/");
    assert_eq!(answer.version, "v1");
    let line = answer
        .body
        .lines()
        .find_map(|line| line.strip_prefix("generation "));
    line.and_then(|number| number.parse().ok())
        .expect("the fixture tells its generation")
}
