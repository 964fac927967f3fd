//! What an app, or whoever runs it, can choose.

use std::time::Duration;

use rustix::process::Signal;

use crate::client::{Client, get};
use crate::manager::{Setup, listener};
use crate::probe;

/// Nobody to move to, and still the old code answers nothing new.
#[test]
fn fresh_closes_what_is_idle_at_once() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener)
        .set("PORTKEEP_DRAIN", "fresh")
        .set(probe::LINGER, 60_000)
        .start_ready();
    let mut silent = Client::connect(address).unwrap();
    let mut idle = Client::connect(address).unwrap();
    idle.get("/").unwrap();
    let mut busy = Client::connect(address).unwrap();
    busy.send(get("/slow/2000")).unwrap();
    Client::connect(address).unwrap().get("/").unwrap();
    let began = process.drain();
    idle.ended().unwrap();
    silent.ended().unwrap();
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
    // What was begun is finished.
    assert!(busy.answer().unwrap().close);
    busy.ended().unwrap();
    drop(busy);
    let report = process.report();
    assert!(report.contains("nothing cut"), "{report}");
}

#[test]
fn two_processes_bind_one_port_if_both_say_so() {
    let (listener, address) = listener();
    // Only to find a free port.
    drop(listener);
    let setup = || {
        Setup::new()
            .set("PORTKEEP_LISTEN", address)
            .set(probe::REUSE, 1)
    };
    let mut old = setup().start_ready();
    let new = setup().start_ready();
    old.drain();
    old.report();
    let answer = Client::connect(address).unwrap().get("/").unwrap();
    assert_eq!(answer.body, new.id().to_string());
}

#[test]
fn a_second_process_cannot_bind_the_port_otherwise() {
    let (listener, address) = listener();
    drop(listener);
    let setup = || Setup::new().set("PORTKEEP_LISTEN", address);
    let _old = setup().start_ready();
    let mut new = setup().start();
    assert!(!new.exited().success());
    assert!(new.logged("ERROR ").contains("PORTKEEP_LISTEN"));
}

#[test]
fn a_hangup_runs_the_hook_and_nothing_else() {
    let (listener, address) = listener();
    let process = Setup::http(&listener).start_ready();
    let mut client = Client::connect(address).unwrap();
    client.get("/").unwrap();
    process.signal(Signal::HUP);
    process.logged("REREAD 1");
    process.signal(Signal::HUP);
    process.logged("REREAD 2");
    assert!(!client.get("/").unwrap().close);
}

#[test]
fn a_request_knows_its_peer() {
    let (listener, address) = listener();
    let _process = Setup::http(&listener).start_ready();
    let mut client = Client::connect(address).unwrap();
    let own = client.socket.get_ref().local_addr().unwrap();
    for path in ["/peer", "/connect-info"] {
        assert_eq!(client.get(path).unwrap().body, own.to_string(), "{path}");
    }
}

#[test]
fn a_stream_ends_with_the_server() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener).start_ready();
    let mut client = Client::connect(address).unwrap();
    client.send(get("/ticks")).unwrap();
    client.head().unwrap();
    assert_eq!(client.chunk().unwrap(), b"tick");
    process.drain();
    while !client.chunk().unwrap().is_empty() {}
    drop(client);
    assert!(process.report().contains("nothing cut"));
}
