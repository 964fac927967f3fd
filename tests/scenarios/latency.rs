//! How long it takes from asking for a new version to its first answer, the app's own start being zero.

use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::machine::expect_shorter;
use portkeep_tests::{App, Behaviour, Measurement};
use serde_json::json;

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

/// A process that is killed is waited for by nobody but systemd, which starts what settles that.
#[test]
fn from_a_crash_to_the_next_answer() {
    let longest = Duration::from_secs(1);
    expect_shorter("kill to next answer", longest, median_of_crashes);
}

fn median_of_crashes() -> Duration {
    // The pause between two crashes is the spec's, and doubles; here it is the shortest that there is.
    let restart = json!({ "delay": "1ms", "maxDelay": "1ms", "rollbackAfter": 100 });
    let app = App::named("crash-latency")
        .with("restart", restart)
        .serve(&Behaviour::version("v0"));
    let mut measurement = Measurement::default();
    for _ in 0..TIMES {
        let start = Instant::now();
        app.signal("@1.service", "KILL");
        measurement.add(first_answer(&app, "v0", start));
        app.wait_for_process("@1.service");
    }
    measurement.report("kill to next answer");
    measurement.median()
}

pub(crate) fn first_answer(app: &App, version: &str, start: Instant) -> Duration {
    let deadline = start + Duration::from_secs(10);
    while app.request("/").version() != Some(version) {
        assert!(Instant::now() < deadline, "{version} never answered");
    }
    start.elapsed()
}
