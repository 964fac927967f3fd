//! Bad input: unusable files at a reload, and manipulated states.

use std::sync::Arc;

use rustix::process::Signal;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::client::Client;
use crate::probe;
use crate::world::{World, write};

/// The next generation does not become READY and says why, and the one before it serves on.
#[test]
fn what_cannot_be_used_replaces_nothing() {
    let world = World::new();
    let old = world.start();
    let config = Arc::new(world.config(&[&TLS12, &TLS13]));
    let mut client = Client::connect(world.address, &config);
    client.who();
    let certificate = std::fs::read_to_string(world.path("cert.pem")).unwrap();
    let key = std::fs::read_to_string(world.path("key.pem")).unwrap();
    let (other, other_key) = world.certify(|_| {});
    let (expired, expired_key) = world.certify(|params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 2);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    });
    let (early, early_key) = world.certify(|params| {
        params.not_before = rcgen::date_time_ymd(2999, 1, 1);
    });
    let half = &certificate[..certificate.len() / 2];
    let cases = [
        (
            "of another key",
            &*certificate,
            &*other_key.serialize_pem(),
            "cannot be used together",
        ),
        (
            "of another certificate",
            &other,
            &key,
            "cannot be used together",
        ),
        ("rubbish", "rubbish", &key, "there is no certificate"),
        ("empty", "", &key, "there is no certificate"),
        ("half", half, &key, "there is no certificate"),
        (
            "rubbish for a key",
            &certificate,
            "rubbish",
            "cannot be used together",
        ),
        (
            "a certificate for a key",
            &certificate,
            &certificate,
            "cannot be used together",
        ),
        (
            "expired",
            &expired,
            &expired_key.serialize_pem(),
            "has expired 2020-01-02",
        ),
        (
            "too early",
            &early,
            &early_key.serialize_pem(),
            "is the clock right",
        ),
    ];
    for (what, certificate, key, told) in cases {
        write(&world.path("cert.pem"), certificate);
        write(&world.path("key.pem"), key);
        // Without a handover.
        old.signal(Signal::HUP);
        let heard = old.logged("NOT REREAD");
        assert!(heard.contains("NOT REREAD"), "{what}");
        let mut new = world.setup().start();
        assert!(!new.exited().success(), "{what}");
        let error = new.logged("ERROR");
        assert!(error.contains(told), "{what}: {error}");
        for line in new.story().lines().chain(old.story().lines()) {
            assert!(!line.contains("PRIVATE KEY"), "{line}");
        }
        // Existing connections, and new ones.
        assert_eq!(client.who(), old.id(), "{what}");
        assert_eq!(Client::connect(world.address, &config).who(), old.id());
    }
    // Missing, and no file at all.
    std::fs::remove_file(world.path("key.pem")).unwrap();
    let mut new = world.setup().start();
    assert!(!new.exited().success());
    assert!(new.logged("ERROR").contains("cannot read"));

    // With the setting, it serves with an expired one.
    write(&world.path("cert.pem"), &expired);
    write(&world.path("key.pem"), &expired_key.serialize_pem());
    let new = world.setup().set(probe::EXPIRED, 1).start_ready();
    new.logged("clients will not believe");
    let mut old = old;
    old.drain();
    assert!(old.report().contains("1 moved"));
    assert_eq!(client.who(), new.id());
}

/// Files are read again without a handover: new connections get the new certificate.
#[test]
fn a_hangup_rereads() {
    let world = World::new();
    let old = world.start();
    let config = Arc::new(world.config(&[&TLS13]));
    let mut before = Client::connect(world.address, &config);
    before.who();
    let second = rcgen::SanType::DnsName("localhost".try_into().unwrap());
    world.place(|params| params.subject_alt_names.push(second));
    old.signal(Signal::HUP);
    old.logged("REREAD");
    let mut after = Client::connect(world.address, &config);
    after.who();
    before.who();
    let certificate = |client: &Client| client.session.peer_certificates().unwrap()[0].to_vec();
    assert_ne!(certificate(&before), certificate(&after));
}
