//! What does not end by itself is ended at the deadline, and nothing else with it.

use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::{App, Behaviour, Mode, Outcome};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn children_that_ignore_sigterm_and_requests_that_never_end() {
    let app = App::named("deadline")
        .with("drainTimeout", json!("2s"))
        .serve(&Behaviour::version("v1").mode(Mode::DeafChild));
    let endless = app.ask("/slow?ms=60000");
    thread::scope(|scope| {
        let endless = scope.spawn(|| endless.outcome());
        let watcher = app.watch();
        app.publish(&Behaviour::version("v2"));
        app.reload();
        let begun = Instant::now();
        app.wait_for_version("v2", SOON);
        app.wait_for_only(&app.unit("@2.service"), SOON);
        let took = begun.elapsed();
        assert!(
            took > Duration::from_secs(1),
            "it was cut too early: {took:?}"
        );
        assert!(took < Duration::from_secs(10), "{took:?}");
        let cut = endless.join().expect("it was asked");
        assert!(
            matches!(cut, Outcome::Cut | Outcome::Reset | Outcome::Timeout),
            "{cut:?}"
        );
        watcher.finish().expect_lossless();
    });
    // Also its child.
    let left = portkeep_tests::command::run("pgrep", ["-f", "sleep 600; don[e]"]);
    assert_eq!(left.code, Some(1), "{left}");
}
