//! What an app may listen on: addresses that come later, and IPv4 beside IPv6.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::SocketAddr;
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager, request, wait_until};
use serde_json::json;

const ANSWER: Duration = Duration::from_secs(10);

fn answers(address: &str, version: &str) {
    let address: SocketAddr = address.parse().unwrap();
    // For an instant, the version before accepts as well.
    wait_until(&format!("{version} answers at {address}"), ANSWER, || {
        (request(address, "/", ANSWER).version() == Some(version)).then_some(())
    });
}

#[test]
fn an_address_may_come_after_the_socket() {
    let manager = Manager::of_this_process();
    // For documentation: no machine has it.
    let app = App::named("early")
        .with(
            "listen",
            json!([
                { "name": "http", "stream": "127.0.0.1:8080" },
                { "name": "later", "stream": "192.0.2.7:8081" },
                { "name": "later6", "stream": "[2001:db8::7]:8081" },
            ]),
        )
        .serve(&Behaviour::version("v1"));
    for unit in ["-later.socket", "-later6.socket"] {
        let state = manager.property(&app.unit(unit), "ActiveState");
        assert_eq!(state, "active", "{unit}");
    }
    // Only root can give the machine an address.
    if manager == Manager::System {
        let address = ["address", "add", "192.0.2.7/32", "dev", "lo"];
        let _ = run("ip", address).expect_success();
        answers("192.0.2.7:8081", "v1");
        let _ = run("ip", ["address", "del", "192.0.2.7/32", "dev", "lo"]).expect_success();
    }
}

#[test]
fn ipv4_and_ipv6_have_a_socket_each() {
    for (name, order) in [
        ("both", ["0.0.0.0", "[::]"]),
        ("both-turned", ["[::]", "0.0.0.0"]),
    ] {
        let app = App::named(name)
            .with(
                "listen",
                json!([
                    { "name": "one", "stream": format!("{}:8080", order[0]) },
                    { "name": "other", "stream": format!("{}:8080", order[1]) },
                ]),
            )
            .serve(&Behaviour::version("v1"));
        for address in ["127.0.0.1:8080", "[::1]:8080"] {
            answers(address, "v1");
        }
        app.publish(&Behaviour::version("v2"));
        app.reload();
        for address in ["127.0.0.1:8080", "[::1]:8080"] {
            answers(address, "v2");
        }
    }
}

#[test]
fn every_address_takes_ipv4_as_well() {
    let _app = App::named("dual")
        .with("listen", json!([{ "stream": "[::]:8080" }]))
        .serve(&Behaviour::version("v1"));
    for address in ["127.0.0.1:8080", "[::1]:8080"] {
        answers(address, "v1");
    }
}
