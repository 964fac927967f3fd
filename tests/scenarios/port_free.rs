//! `port --free` ends what stands in the way of an address, and nothing that is open beside it.

use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{Neighbour, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn what_is_open_beside_the_address_is_left_alone() {
    for (listens, wanted) in [
        ("[::1]:8081", "0.0.0.0:8081"),
        ("[::1]:8081", "127.0.0.1:8081"),
        ("0.0.0.0:8081", "[::1]:8081"),
        ("127.0.0.1:8081", "[::1]:8081"),
        ("127.0.0.1:8081", "127.0.0.2:8081"),
    ] {
        let mut neighbour = Neighbour::listening(listens, "neighbour");
        let freed = run("portkeep", ["port", wanted, "--free"]).expect_success();
        freed.expect_mention(&["nobody listens"]);
        assert_eq!(neighbour.ended(), None, "{listens} was ended for {wanted}");
    }
}

#[test]
fn only_what_stands_in_the_way_is_ended() {
    let mut v4 = Neighbour::listening("127.0.0.1:8081", "four");
    let mut v6 = Neighbour::listening("[::1]:8081", "six");
    let shown = run("portkeep", ["port", "8081", "--json"]).expect_success();
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let held_by: Vec<_> = shown["holders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|holder| holder["pid"].as_u64())
        .collect();
    let both = [v4.pid(), v6.pid()].map(|pid| Some(pid.into()));
    assert!(both.iter().all(|pid| held_by.contains(pid)), "{shown:#}");

    let freed = run("portkeep", ["port", "0.0.0.0:8081", "--free"]).expect_success();
    freed.expect_mention(&[&format!("SIGTERM to process {}", v4.pid())]);
    wait_until("it ends", SOON, || v4.ended());
    assert_eq!(v6.ended(), None);
}
