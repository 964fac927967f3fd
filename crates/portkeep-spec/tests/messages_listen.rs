//! Every mistake in `listen` has a message; `messages.rs` has those of other fields.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use portkeep_spec::Spec;
use serde_json::{Value, json};
use support::message::{assert_message, with};

#[test]
fn addresses() {
    let bare = "listen[0].stream: \"8080\" is only a port; write \"127.0.0.1:8080\" to be reached from this machine only, \
                or \"0.0.0.0:8080\" (IPv4) or \"[::]:8080\" (IPv4 and IPv6) to be reached from everywhere";
    assert_message(&with("listen", json!([{ "stream": "8080" }])), bare);
    assert_message(&with("listen", json!([{ "stream": 8080 }])), bare);
    assert_message(
        &with("listen", json!([{ "stream": "localhost:80" }])),
        "listen[0].stream: \"localhost:80\" names the host \"localhost\", but systemd listens on IP addresses only; \
         write for example \"127.0.0.1:80\" or \"[::1]:80\"",
    );
    assert_message(
        &with("listen", json!([{ "stream": "127.0.0.1:0" }])),
        "listen[0].stream: \"127.0.0.1:0\" has port 0; write the port that clients are to connect to, 1 to 65535",
    );
    assert_message(
        &with("listen", json!([{ "datagram": "[::1]:65536" }])),
        "listen[0].datagram: \"[::1]:65536\" has the port \"65536\"; ports are numbers from 1 to 65535",
    );
    assert_message(
        &with("listen", json!([{ "sequentialPacket": "127.0.0.1:1" }])),
        "listen[0].sequentialPacket: \"127.0.0.1:1\" is not an absolute path; write it like \"/run/hello.sock\"",
    );
    assert_message(
        &with("listen", json!([{ "stream": "[fe80::1%2]:80" }])),
        "listen[0].stream: systemd does not take an IPv6 scope in an address; listen on [::] instead",
    );
    assert_message(
        &with(
            "listen",
            json!([{ "stream": format!("/{}", "x".repeat(107)) }]),
        ),
        "listen[0].stream: is 108 bytes long; at most 107 are possible",
    );
    assert_message(
        &with("listen", json!([{ "stream": "/run/a\nListenStream=1" }])),
        "listen[0].stream: \"/run/a\\nListenStream=1\" contains '\\n', which a unit file cannot express here; rename it",
    );
}

#[test]
fn sockets() {
    assert_message(
        &with("listen", json!([])),
        "listen: is empty; write at least one socket, like [{ \"stream\": \"127.0.0.1:8080\" }]",
    );
    assert_message(
        &with("listen", json!([{ "name": "a" }])),
        "listen[0]: no address; write for example \"stream\": \"127.0.0.1:8080\"",
    );
    assert_message(
        &with(
            "listen",
            json!([{ "stream": "127.0.0.1:1", "datagram": "127.0.0.1:1" }]),
        ),
        "listen[0]: more than one address; write one of stream, datagram and sequentialPacket, and an entry for each socket",
    );
    assert_message(
        &with(
            "listen",
            json!([{ "name": "a", "stream": "127.0.0.1:1" }, { "stream": "127.0.0.1:2" }]),
        ),
        "listen[1].name: is missing; with several sockets each needs a name, like \"http\" or \"admin\"",
    );
    assert_message(
        &with(
            "listen",
            json!([{ "name": "a", "stream": "127.0.0.1:1" }, { "name": "a", "stream": "127.0.0.1:2" }]),
        ),
        "listen[1].name: the name \"a\" is used by listen[0] already; each socket needs its own",
    );
    assert_message(
        &with(
            "listen",
            json!([{ "name": "a", "stream": "/run/a" }, { "name": "b", "datagram": "/run/a" }]),
        ),
        "listen[1].datagram: the address /run/a is used by listen[0] already; each socket needs its own",
    );
    assert_message(
        &with(
            "listen",
            json!([{ "name": "http", "stream": "/run/a" }, { "name": "move", "stream": "/run/b" }]),
        ),
        "listen[1].name: \"move\" is the socket over which connections move; choose another name",
    );
    assert_message(
        &with(
            "listen",
            json!([{ "datagram": "127.0.0.1:1", "protocol": "http" }]),
        ),
        "listen[0].protocol: http needs a stream socket; write \"raw\" for datagrams and sequential packets",
    );
    assert_message(
        &with(
            "listen",
            json!([{ "stream": "127.0.0.1:1", "protocol": "grpc" }]),
        ),
        "listen[0].protocol: unknown variant `grpc`, expected `http` or `raw`",
    );
    assert_message(
        &with("listen", json!([{ "stream": "127.0.0.1:1", "backlog": 0 }])),
        "listen[0].backlog: must be more than zero; leave the field out for 4096",
    );
}

#[test]
fn who_may_connect_to_a_unix_socket() {
    let unix = |field: &str, value: Value| {
        let mut entry = json!({ "stream": "/run/a" });
        entry[field] = value;
        with("listen", json!([entry]))
    };
    let ip = |field: &str, value: Value| {
        let mut entry = json!({ "stream": "127.0.0.1:80" });
        entry[field] = value;
        with("listen", json!([entry]))
    };
    let form = "write three octal digits as text, like \"0600\" (its user may connect), \"0660\" (its group, too) or \
                \"0666\" (everybody)";
    for (value, written) in [
        (json!("rw"), "\"rw\""),
        (json!("1777"), "\"1777\""),
        (json!(660), "660"),
    ] {
        assert_message(
            &unix("mode", value),
            &format!("listen[0].mode: {written} is not the mode of a socket; {form}"),
        );
    }
    for (field, value) in [("mode", "0660"), ("user", "www"), ("group", "www")] {
        assert_message(
            &ip(field, json!(value)),
            &format!(
                "listen[0].{field}: is for Unix sockets; who reaches 127.0.0.1:80 is decided by the address (127.0.0.1 is \
                 this machine) and by a firewall"
            ),
        );
    }
    for field in ["user", "group"] {
        for name in ["", "a b", "www\nMode=0666", "%i", "WWW"] {
            assert_message(
                &unix(field, json!(name)),
                &format!("listen[0].{field}: {name:?} is not the name of a user or group"),
            );
        }
    }
    for value in [true, false] {
        assert_message(
            &unix("freeBind", json!(value)),
            "listen[0].freeBind: is for IP addresses; the path of a Unix socket can always be listened on",
        );
    }
    let good = |entry: Value| Spec::from_json(&with("listen", json!([entry])).to_string()).unwrap();
    let mode = |entry: Value| good(entry).listen[0].mode().to_string();
    assert_eq!(mode(json!({ "stream": "/run/a" })), "0600");
    assert_eq!(mode(json!({ "stream": "/run/a", "group": "www" })), "0660");
    assert_eq!(
        mode(json!({ "stream": "/run/a", "group": "www", "mode": "600" })),
        "0600"
    );
    assert!(good(json!({ "stream": "127.0.0.1:80" })).listen[0].binds_freely());
}

#[test]
fn addresses_that_the_kernel_opens_once() {
    let two = |kind: &str, one: &str, other: &str| {
        with(
            "listen",
            json!([{ "name": "a", kind: one }, { "name": "b", kind: other }]),
        )
    };
    for (one, other, why) in [
        (
            "0.0.0.0:80",
            "127.0.0.1:80",
            "0.0.0.0 takes every IPv4 address; remove one of them",
        ),
        (
            "[::1]:80",
            "[::]:80",
            "[::] takes every IPv6 address; remove one of them",
        ),
        (
            "[::]:80",
            "127.0.0.1:80",
            "[::] takes every address, of IPv4 as well; remove one of them, or write 0.0.0.0 beside [::]",
        ),
        (
            "127.0.0.1:80",
            "[::ffff:127.0.0.1]:80",
            "both are the same address; remove one of them",
        ),
    ] {
        assert_message(
            &two("stream", one, other),
            &format!("listen[1].stream: {other} overlaps with {one} of listen[0]: {why}"),
        );
    }
    for (kind, one, other) in [
        ("stream", "0.0.0.0:80", "[::]:80"),
        ("stream", "127.0.0.1:80", "[::1]:80"),
        ("datagram", "0.0.0.0:80", "127.0.0.1:80"),
    ] {
        Spec::from_json(&two(kind, one, other).to_string()).unwrap();
    }
}
