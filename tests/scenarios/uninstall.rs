//! `portkeep uninstall` undoes `portkeep install`.

use portkeep_tests::{App, Behaviour, Manager, Outcome};

#[test]
fn it_closes_the_port_and_leaves_no_unit() {
    let app = App::named("gone").install(&Behaviour::version("v1"));
    assert_eq!(app.get("/").version, "v1");
    let address = app.address();
    drop(app);

    let manager = Manager::of_this_process();
    let outcome = portkeep_tests::request(address, "/", std::time::Duration::from_secs(1));
    assert_eq!(outcome, Outcome::Refused);
    for verb in ["list-units", "list-unit-files"] {
        let listed = manager.systemctl(&[verb, "--all", "--no-legend", "gone*"]);
        assert_eq!(listed.stdout, "", "{verb}");
    }
}
