//! How long it takes from asking for a new version to its first answer, the app's own start being zero.

use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::machine::expect_shorter;
use portkeep_tests::{App, Behaviour, Measurement};

pub(crate) const TIMES: usize = 20;
/// Five times what a prototype in bash needed on the slower of two systemds: for a slip, not for a race.
pub(crate) const LIMIT: Duration = Duration::from_millis(320);

#[test]
fn from_systemctl_reload_to_the_first_new_answer() {
    expect_shorter("systemctl reload to first new answer", LIMIT, median);
}

fn median() -> Duration {
    let app = App::named("latency").serve(&Behaviour::version("v0"));
    let mut measurement = Measurement::default();
    for number in 1..=TIMES {
        let version = format!("v{number}");
        app.publish(&Behaviour::version(&version));
        let start = Instant::now();
        measurement.add(thread::scope(|scope| {
            scope.spawn(|| app.reload());
            first_answer(&app, &version, start)
        }));
    }
    measurement.report("systemctl reload to first new answer");
    measurement.median()
}

pub(crate) fn first_answer(app: &App, version: &str, start: Instant) -> Duration {
    let deadline = start + Duration::from_secs(10);
    while app.request("/").version() != Some(version) {
        assert!(Instant::now() < deadline, "{version} never answered");
    }
    start.elapsed()
}
