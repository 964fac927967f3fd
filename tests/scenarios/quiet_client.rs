//! One client that asks now and then. Under load the next connection wakes what the last one left asleep; here nothing
//! does.

use std::thread;
use std::time::Duration;

use portkeep_tests::{App, Behaviour, Mode, request};

/// Longer than a busy machine needs: who is not woken waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);
const BETWEEN: Duration = Duration::from_millis(300);

#[track_caller]
fn expect_answers(app: &App, times: usize, version: &str) {
    for number in 1..=times {
        let outcome = request(app.address(), "/", PATIENCE);
        assert_eq!(
            outcome.version(),
            Some(version),
            "request {number}: {outcome:?}"
        );
        thread::sleep(BETWEEN);
    }
}

#[test]
fn is_answered_while_a_new_version_starts_slowly() {
    let app = App::named("quiet").serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2").start_delay(Duration::from_secs(6)));
    thread::scope(|scope| {
        scope.spawn(|| app.reload());
        expect_answers(&app, 6, "v1");
    });
    expect_answers(&app, 3, "v2");
}

#[test]
fn is_answered_after_a_new_version_failed() {
    let app = App::named("quiet-failed").serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    let _ = app.systemctl("reload").expect_failure();
    expect_answers(&app, 4, "v1");
}
