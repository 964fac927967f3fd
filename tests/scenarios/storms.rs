//! Everything at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::{App, Behaviour};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_hundred_reloads_in_twenty_seconds() {
    let app = App::named("hundred").serve(&Behaviour::version("v0"));
    let watcher = app.watch();
    let start = Instant::now();
    for number in 1..=100 {
        app.publish(&Behaviour::version(format!("v{number}")));
        let reload = ["reload", "--no-block", &app.unit(".service")];
        let _ = app.manager().systemctl(&reload).expect_success();
        let next = start + Duration::from_millis(200) * number;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let asked = start.elapsed();
    app.wait_for_version("v100", SOON);
    let served = start.elapsed();
    let last = app.generations().pop().expect("it serves");
    app.wait_for_only(&last, SOON);
    let seen = watcher.finish();
    println!(
        "measured: 100 reloads asked for in {asked:?}, the last served after {served:?}: {} versions seen, {} requests, {} failed, slowest {:?}",
        seen.versions().len(),
        seen.samples.len(),
        seen.failed().len(),
        seen.slowest()
    );
    seen.expect_lossless();
}

#[test]
fn ten_reloads_at_the_same_time_are_one_handover() {
    let app = App::named("ten").serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2").start_delay(Duration::from_millis(500)));
    let watcher = app.watch();
    thread::scope(|scope| {
        for number in 0..10 {
            let app = &app;
            scope.spawn(move || match number % 2 {
                0 => app.systemctl("reload").expect_success(),
                _ => app.portkeep("reload", &[]).expect_success(),
            });
        }
    });
    app.wait_for_version("v2", SOON);
    app.wait_for_only(&app.unit("@2.service"), SOON);
    watcher.finish().expect_lossless();
}

#[test]
fn two_thousand_connections_while_nothing_runs() {
    const CONNECTIONS: usize = 2000;
    raise_limit();
    let slow = Behaviour::version("v1").start_delay(Duration::from_secs(1));
    let app = App::named("crowd").install(&slow);
    let begun = Instant::now();
    let mut crowd: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect_timeout(&app.address(), SOON).expect("nobody is refused"))
        .collect();
    for stream in &mut crowd {
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .expect("it can be asked");
    }
    let answered = crowd
        .into_iter()
        .filter_map(|mut stream| {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        })
        .count();
    println!(
        "measured: {answered} of {CONNECTIONS} connections at once answered, the last after {:?} (start of the app: 1 s)",
        begun.elapsed()
    );
    assert_eq!(answered, CONNECTIONS);
    assert_eq!(app.generations(), [app.unit("@1.service")]);
}

/// A descriptor for each connection, and some more.
fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).expect("the limit can be raised");
}
