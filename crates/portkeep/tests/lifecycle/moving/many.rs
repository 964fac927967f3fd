//! Ten thousand idle connections in one handover.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{World, who};
use crate::manager::Process;

const MANY: usize = 10_000;
/// What a process needs besides its connections, and more.
const BESIDES: usize = 800;
/// Some seconds where everything else is busy; 0.2 s where nothing is.
const LONGEST: Duration = Duration::from_secs(60);
/// For each connection: hyper keeps its read buffer of 8 KiB, and the task has some of its own.
const MOST_BYTES: usize = 24 * 1024;

/// Lets this process have as many descriptors as a test needs; each connection is one here too.
pub(super) fn allow_descriptors(count: usize) {
    let count = count as u64;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return;
    }
    // Only root may go beyond the hard limit.
    limit = Rlimit {
        current: Some(count),
        maximum: limit.maximum.map(|maximum| maximum.max(count)),
    };
    setrlimit(Resource::Nofile, limit).unwrap_or_else(|error| {
        panic!("this test needs {count} descriptors, and `ulimit -Hn` is lower: {error}")
    });
}

/// How many descriptors a process has.
pub(super) fn descriptors(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id()))
        .unwrap()
        .count()
}

/// The same, when nothing that is open for a moment (a message to the manager) is among them.
fn settled_descriptors(process: &Process) -> usize {
    process.notified("STATUS=serving on");
    loop {
        let before = descriptors(process);
        std::thread::sleep(std::time::Duration::from_millis(50));
        if descriptors(process) == before {
            return before;
        }
    }
}

/// The memory of a process, in bytes: what `field` of its status says.
fn memory(process: &Process, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

#[test]
fn ten_thousand_idle_connections_move() {
    let limit = MANY + BESIDES;
    allow_descriptors(limit);
    let world = World::new();
    let start = || world.setup().open_files(limit as u32).start_ready();
    let mut old = start();
    let (old_empty, old_descriptors) = (memory(&old, "VmRSS"), settled_descriptors(&old));
    let mut clients = world.clients(MANY);
    let old_full = memory(&old, "VmRSS");
    assert_eq!(descriptors(&old), old_descriptors + MANY);

    let new = start();
    let (new_empty, new_descriptors) = (memory(&new, "VmRSS"), settled_descriptors(&new));
    let began = old.drain();
    let report = old.report();
    let took = began.elapsed();
    let new_full = memory(&new, "VmRSS");
    assert_eq!(descriptors(&new), new_descriptors + MANY);

    let each = |full: usize, empty: usize| full.saturating_sub(empty) / MANY;
    println!(
        "measured: {MANY} idle connections moved in {took:.0?}, {:.1?} each; old process {} bytes each, \
         new one {} bytes each, {} MiB at most",
        took / MANY as u32,
        each(old_full, old_empty),
        each(new_full, new_empty),
        memory(&new, "VmHWM") >> 20,
    );
    assert!(
        report.contains("10000 moved, 0 idle closed, nothing cut"),
        "{report}"
    );
    for client in &mut clients {
        assert_eq!(who(client), new.id());
    }
    assert!(took < LONGEST, "{took:?}");
    // Also when each has been used again.
    let most = memory(&new, "VmRSS").max(new_full);
    assert!(each(most, new_empty) < MOST_BYTES, "{most}");
    assert!(each(old_full, old_empty) < MOST_BYTES, "{old_full}");
}
