//! What a hundred apps cost: to install, while they are idle, and to remove.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::machine::expect_shorter;
use portkeep_tests::{Manager, Measurement};

const APPS: u16 = 100;
/// For all of them, in one call.
const LIMIT: Duration = Duration::from_secs(15);
/// What `status` may take.
const SOON: Duration = Duration::from_millis(200);
/// Beside the one helper.
const MOST_BYTES: u64 = 10 << 20;

fn name(number: u16) -> String {
    format!("idle-{number}")
}

#[test]
fn a_hundred_idle_apps() {
    let manager = Manager::of_this_process();
    if manager == Manager::User {
        // The same units; once is enough for a measurement.
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let specs: Vec<String> = (0..APPS)
        .map(|number| {
            let spec = directory.path().join(format!("{}.json", name(number)));
            let port = 9000 + number;
            let json = format!(
                r#"{{"name":"{}","exec":["/bin/true"],"listen":[{{"stream":"127.0.0.1:{port}"}}]}}"#,
                name(number)
            );
            fs::write(&spec, json).unwrap();
            spec.to_str().unwrap().to_owned()
        })
        .collect();
    let names: Vec<String> = (0..APPS).map(name).collect();
    let all = |words: &[&str], of: &[String]| {
        let of = of.iter().map(String::as_str);
        let words = words.iter().copied().chain([manager.flag()]).chain(of);
        run("portkeep", words).expect_success().took
    };
    let memory = memory_of_manager();
    let (mut installed, mut removed) = (Measurement::default(), Measurement::default());
    expect_shorter("install of 100 apps", LIMIT, || {
        if manager.state_directory().join(name(0)).exists() {
            removed.add(all(&["uninstall"], &names));
        }
        let took = all(&["install", "--now"], &specs);
        installed.add(took);
        took
    });
    installed.report("install of 100 apps");
    let (helper, rest) = disk_space(manager.state_directory().as_path());
    println!(
        "measured: disk space of 100 apps: {:.1} MiB beside the helper of {:.1} MiB; PID 1 grew by {:.1} MiB",
        rest as f64 / f64::from(1 << 20),
        helper as f64 / f64::from(1 << 20),
        memory_of_manager().saturating_sub(memory) as f64 / 1024.0
    );
    assert!(rest < MOST_BYTES, "{rest} bytes");
    let reload = manager.systemctl(&["daemon-reload"]).expect_success().took;
    println!("measured: daemon-reload with 100 apps: {reload:.1?}");
    let again = all(&["install", "--now"], &specs);
    println!("measured: install of 100 apps once more, nothing changed: {again:.1?}");

    let before = processor_time_of_manager();
    std::thread::sleep(Duration::from_secs(5));
    let spent = processor_time_of_manager() - before;
    let resident = run("pgrep", ["-x", "portkeep"]);
    let mut status = Measurement::default();
    for _ in 0..5 {
        let told = run("portkeep", ["status", manager.flag(), "--json"]).expect_success();
        status.add(told.took);
        let apps: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!(apps.as_array().map(Vec::len), Some(usize::from(APPS)));
    }
    println!(
        "measured: {APPS} idle apps: {} processes of portkeep, {spent} ticks (1/100 s) of PID 1 in 5 s",
        resident.stdout.lines().count()
    );
    status.report("status of 100 apps");
    expect_shorter("status of 100 apps", SOON, || {
        run("portkeep", ["status", manager.flag()])
            .expect_success()
            .took
    });
    assert_eq!(resident.stdout, "", "a process stays resident");

    expect_shorter("uninstall of 100 apps", LIMIT, || {
        if !manager.state_directory().join(name(0)).exists() {
            installed.add(all(&["install", "--now"], &specs));
        }
        let took = all(&["uninstall"], &names);
        removed.add(took);
        took
    });
    removed.report("uninstall of 100 apps");
    let units = manager.systemctl(&["list-units", "--all", "--no-legend", "idle-*"]);
    assert_eq!(units.stdout, "");
    assert!(!manager.state_directory().join(".helper").exists());
}

/// The bytes that helpers take, and all else below a directory. A file with several names is counted once.
fn disk_space(directory: &Path) -> (u64, u64) {
    let (mut helpers, mut rest) = (0, 0);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let metadata = entry.metadata().unwrap();
        let (inner_helpers, inner) = match metadata.is_dir() {
            true => disk_space(&entry.path()),
            false => (0, 0),
        };
        let own = metadata.blocks() * 512;
        if entry.file_name() == ".helper" {
            helpers += own + inner_helpers + inner;
        } else {
            helpers += inner_helpers;
            rest += own + inner;
        }
    }
    (helpers, rest)
}

/// The resident memory of PID 1, in KiB.
fn memory_of_manager() -> u64 {
    let status = fs::read_to_string("/proc/1/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// `utime` and `stime` of PID 1, in ticks.
fn processor_time_of_manager() -> u64 {
    let stat = fs::read_to_string("/proc/1/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok());
    ticks.sum()
}
