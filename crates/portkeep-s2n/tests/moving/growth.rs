//! Many idle connections: how long their move takes, and how much memory each has. `PORTKEEP_TLS_IDLE` sets how many.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio_rustls::rustls::version::TLS13;

use crate::client::Client;
use crate::manager::Process;
use crate::world::World;

/// In KiB.
fn memory(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse().unwrap()
}

#[test]
fn a_thousand_idle_connections_move() {
    let count = std::env::var("PORTKEEP_TLS_IDLE").ok();
    let count: u64 = count.map_or(1000, |count| count.parse().unwrap());
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    let world = World::new();
    let mut old = world.start();
    let before = memory(&old);
    let config = Arc::new(world.config(&[&TLS13]));
    let mut clients: Vec<_> = (0..count)
        .map(|_| {
            let mut client = Client::connect(world.address, &config);
            client.who();
            client
        })
        .collect();
    let full = memory(&old);
    let new = world.start();
    let empty = memory(&new);
    let began = Instant::now();
    old.drain();
    let report = old.report();
    let took = began.elapsed();
    assert!(
        report.contains(&format!("{count} moved, 0 idle closed, nothing cut")),
        "{report}"
    );
    let each = |more: u64, less: u64| more.saturating_sub(less) / count;
    println!(
        "measured: {count} idle TLS connections moved in {took:?}; {} KiB each in the process that had their handshakes, {} in the next one",
        each(full, before),
        each(memory(&new), empty),
    );
    for client in &mut clients {
        assert_eq!(client.who(), new.id());
    }
}
