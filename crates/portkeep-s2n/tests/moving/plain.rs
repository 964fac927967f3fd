//! One connection at a time: what moves, and what stays unchanged if it cannot move.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::client::{Client, get};
use crate::probe;
use crate::world::World;

#[test]
fn idle_connections_are_served_on() {
    let world = World::new();
    let mut old = world.start();
    let mut clients: Vec<_> = [&TLS12, &TLS13]
        .into_iter()
        .flat_map(|version| {
            let config = Arc::new(world.config(&[version]));
            (0..10).map(move |_| config.clone())
        })
        .map(|config| Client::connect(world.address, &config))
        .collect();
    for client in &mut clients {
        assert_eq!(client.who(), old.id());
    }
    for _ in 0..5 {
        let new = world.start();
        old.drain();
        let report = old.report();
        assert!(
            report.contains("20 moved, 0 idle closed, nothing cut"),
            "{report}\n{}",
            old.story()
        );
        for client in &mut clients {
            assert_eq!(client.who(), new.id());
        }
        old = new;
    }
}

/// The client has requested a new key, and the server process is gone before it could answer.
#[test]
fn a_new_key_that_was_asked_for_comes_from_the_next_generation() {
    let world = World::new();
    let mut old = world.start();
    let config = Arc::new(world.config(&[&TLS13]));
    let mut client = Client::connect(world.address, &config);
    client.who();
    for _ in 0..10 {
        client.renew_keys().unwrap();
        let new = world.start();
        old.drain();
        assert!(old.report().contains("1 moved"));
        client.renew_keys().unwrap();
        assert_eq!(client.who(), new.id());
        old = new;
    }
}

/// rustls does not check whether the requested update comes; OpenSSL reports each message.
#[test]
fn after_a_move_the_next_answer_comes_under_a_new_key() {
    let world = World::new();
    let mut old = world.start();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &world.address.to_string()])
        .args(["-msg", "-tls1_3", "-ign_eof", "-CAfile"])
        .arg(world.path("ca.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // All bytes up to the end of an answer's head.
    let mut ask = || {
        stdin.write_all(get("/").as_bytes()).unwrap();
        let mut told = String::new();
        for line in lines.by_ref().map(Result::unwrap) {
            told += &line;
            told.push('\n');
            if line.starts_with("date: ") {
                break;
            }
        }
        told
    };
    ask();
    assert!(!ask().contains("KeyUpdate"));
    let _new = world.start();
    old.drain();
    assert!(old.report().contains("1 moved"));
    let told = ask();
    assert!(
        told.contains("<<< TLS 1.3, Handshake [length 0005], KeyUpdate"),
        "{told}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

/// With a part of a record, it waits for the rest, and then it moves.
#[test]
fn a_part_of_a_record_is_waited_for() {
    let world = World::new();
    let mut old = world.start();
    let config = Arc::new(world.config(&[&TLS13]));
    let mut client = Client::connect(world.address, &config);
    client.who();
    client
        .session
        .writer()
        .write_all(get("/").as_bytes())
        .unwrap();
    let records = client.records();
    let (part, rest) = records.split_at(11);
    client.socket.write_all(part).unwrap();
    // Accepted later, so that the first has arrived.
    Client::connect(world.address, &config).who();
    let new = world.start();
    old.drain();
    old.logged("cannot be taken apart now");
    client.socket.write_all(rest).unwrap();
    let (head, _) = client.answer().unwrap();
    assert!(!head.contains("connection: close"), "{head}");
    assert!(old.report().contains("nothing cut"));
    assert_eq!(client.who(), new.id());
}

/// A generation with another policy does not take them, and they are unchanged.
#[test]
fn what_the_next_generation_refuses_ends_well() {
    let world = World::new();
    let mut old = world.start();
    let config = Arc::new(world.config(&[&TLS12, &TLS13]));
    let mut clients: Vec<_> = (0..5)
        .map(|_| Client::connect(world.address, &config))
        .collect();
    for client in &mut clients {
        client.who();
    }
    let new = world.setup().set(probe::POLICY, "20240501").start_ready();
    old.drain();
    assert!(
        new.logged("cannot be taken over")
            .contains("another policy")
    );
    for client in &mut clients {
        let (head, body) = client.get("/").unwrap();
        assert!(head.contains("connection: close"), "{head}");
        assert_eq!(body, old.id().to_string());
        client.ended();
    }
    assert!(old.report().contains("0 moved, 0 idle closed, nothing cut"));
}

#[test]
fn certificates_of_clients_go_along_and_are_asked_for() {
    let world = World::new();
    let setup = || world.setup().set(probe::CLIENTS, "required");
    let mut old = setup().start_ready();
    let mut known = Client::connect(world.address, &world.config_of_one_known());
    let (_, before) = known.get("/session").unwrap_or_else(|error| {
        old.logged("not accepted");
        panic!("{error}\n{}", old.story())
    });
    let length: usize = before
        .strip_prefix("localhost - ")
        .unwrap()
        .parse()
        .unwrap();
    assert!(length > 300, "{before}");
    let config = Arc::new(world.config(&[&TLS13]));
    assert!(Client::connect(world.address, &config).get("/").is_err());
    let new = setup().start_ready();
    old.drain();
    assert!(old.report().contains("1 moved"));
    assert_eq!(known.who(), new.id());
    assert_eq!(known.get("/session").unwrap().1, before);

    // A client without a certificate must not get in through a generation that does not ask for one.
    let mut open = world.start();
    drop((old, new));
    let mut nobody = Client::connect(world.address, &config);
    nobody.who();
    let strict = setup().start_ready();
    open.drain();
    assert!(strict.logged("cannot be taken over").contains("rules"));
    assert!(nobody.get("/").unwrap().0.contains("connection: close"));
    assert!(open.report().contains("0 moved"));
}

/// HTTP/2 drains without moving.
#[test]
fn http2_drains() {
    let world = World::new();
    let mut old = world.start();
    let mut config = world.config(&[&TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = Client::connect(world.address, &Arc::new(config));
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    client.send(preface).unwrap();
    let _new = world.start();
    old.drain();
    // Its client does not answer, so the linger time or the deadline ends it.
    drop(client);
    assert!(old.report().contains("0 moved"));
}
