//! What portkeep itself costs while apps are idle.

use std::fs;
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{Manager, Measurement, machine};

const APPS: u16 = 50;
/// What `status` may take, for twice as many.
const SOON: Duration = Duration::from_millis(200);

#[test]
fn fifty_idle_apps_cost_no_process() {
    let manager = Manager::of_this_process();
    if manager == Manager::User {
        // The same units; once is enough for a measurement.
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let name = |number: u16| format!("idle-{number}");
    for number in 0..APPS {
        let spec = directory.path().join(format!("{}.json", name(number)));
        let port = 9000 + number;
        let json = format!(
            r#"{{"name":"{}","exec":["/bin/true"],"listen":[{{"stream":"127.0.0.1:{port}"}}]}}"#,
            name(number)
        );
        fs::write(&spec, json).expect("the spec can be written");
        let spec = spec.to_string_lossy();
        let _ = run(
            "portkeep",
            ["install", manager.flag(), "--now", "--spec", &spec],
        )
        .expect_success();
    }
    let before = processor_time_of_manager();
    std::thread::sleep(Duration::from_secs(5));
    let spent = processor_time_of_manager() - before;
    let resident = run("pgrep", ["-x", "portkeep"]);
    let mut status = Measurement::default();
    for _ in 0..5 {
        let told = run("portkeep", ["status", manager.flag(), "--json"]).expect_success();
        status.add(told.took);
        let apps: serde_json::Value = serde_json::from_str(&told.stdout).expect("it is JSON");
        assert_eq!(apps.as_array().map(Vec::len), Some(usize::from(APPS)));
    }
    println!(
        "measured: {APPS} idle apps: {} processes of portkeep, {spent} ticks (1/100 s) of PID 1 in 5 s",
        resident.stdout.lines().count()
    );
    status.report("status of 50 apps");
    machine::expect_shorter("status of 50 apps", SOON, || {
        run("portkeep", ["status", manager.flag()])
            .expect_success()
            .took
    });
    for number in 0..APPS {
        let _ = run("portkeep", ["uninstall", manager.flag(), &name(number)]).expect_success();
    }
    assert_eq!(resident.stdout, "", "a process stays resident");
}

/// `utime` and `stime` of PID 1, in ticks.
fn processor_time_of_manager() -> u64 {
    let stat = fs::read_to_string("/proc/1/stat").expect("PID 1 can be looked at");
    let (_, fields) = stat
        .rsplit_once(')')
        .expect("the command is in parentheses");
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok());
    ticks.sum()
}
