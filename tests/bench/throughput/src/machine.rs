//! Where it was measured.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// A paragraph.
pub(crate) fn description(rounds: usize, time: Duration) -> String {
    let cpu = first_after("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism().unwrap();
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    format!(
        "{rounds} rounds of {time:?} for each server and load, alternating; 50 connections. {cpu}, {cores} cores, \
         shared by servers and load; Linux {}; load average before: {load}. {}; {}; {}; wrk {}.\n",
        said("uname", "-r"),
        said("rustc", "--version"),
        crates(&["axum", "hyper", "h2", "tokio"]),
        said("oha", "--version"),
        said("wrk", "--version")
            .split_whitespace()
            .nth(1)
            .unwrap_or("?"),
    )
}

fn first_after(file: &str, label: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(label));
    let value = line.and_then(|line| line.split(": ").nth(1));
    value.unwrap_or("unknown processor").to_owned()
}

/// The first line that a program says about itself.
fn said(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

/// The versions that this was built with.
fn crates(names: &[&str]) -> String {
    let lock = include_str!("../../../../Cargo.lock");
    let versions = names.iter().filter_map(|name| {
        let rest = lock
            .split(&format!("name = \"{name}\"\nversion = \""))
            .nth(1)?;
        Some(format!("{name} {}", rest.split('"').next()?))
    });
    versions.collect::<Vec<_>>().join(", ")
}
