//! The port comes back with the machine. A test cannot outlive a reboot, so it is two: `tests/run`
//! runs the first, reboots the guest, and runs the second.

use std::mem;

use portkeep_tests::{App, Behaviour, Manager, Mode, Outcome, wait_until};
use std::net::SocketAddr;
use std::time::Duration;

/// Not `reboot`: that is a target of systemd itself.
const NAME: &str = "comes-back";

#[test]
fn before() {
    let app = App::named(NAME).install(&Behaviour::version("v1"));
    assert_eq!(app.get("/").version, "v1");
    // What failed before the reboot must not be all that is tried after it.
    app.settled();
    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    let _ = app.systemctl("reload").expect_failure();
    // It has to be there after the reboot.
    mem::forget(app);
}

#[test]
fn after() {
    let manager = Manager::of_this_process();
    let socket = format!("{NAME}.socket");
    assert_eq!(manager.property(&socket, "ActiveState"), "active");
    let generation = format!("{NAME}@*.service");
    let running = manager.systemctl(&["list-units", "--no-legend", &generation]);
    assert_eq!(
        running.expect_success().stdout,
        "",
        "nothing runs before it is needed"
    );

    let address = SocketAddr::from(([127, 0, 0, 1], 8080));
    wait_until(
        "the first connection starts the last good version",
        Duration::from_secs(5),
        || {
            let outcome = portkeep_tests::request(address, "/", Duration::from_secs(5));
            assert_ne!(outcome, Outcome::Refused, "the port was closed");
            (outcome.version() == Some("v1")).then_some(())
        },
    );
}
