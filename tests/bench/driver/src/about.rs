//! When, where and with what a run was made.

use std::fs;

use anyhow::Context;

use crate::processes::run;

/// Name and value.
pub(crate) fn machine(commit: &str, quick: bool) -> anyhow::Result<Vec<(String, String)>> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let count = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let systemd = run(["systemctl", "--version"])?;
    let systemd = systemd
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ");
    let pair = |name: &str, value: String| (name.to_owned(), value);
    Ok(vec![
        pair(
            "when",
            jiff::Timestamp::now()
                .strftime("%Y-%m-%d %H:%M UTC")
                .to_string(),
        ),
        pair("commit", commit.to_owned()),
        pair(
            "kind of run",
            if quick { "quick" } else { "full" }.to_owned(),
        ),
        pair("processors", format!("{count} × {model}")),
        pair(
            "memory",
            format!("{} GiB", memory.unwrap_or_default() / (1 << 20)),
        ),
        pair("kernel", kernel.trim().to_owned()),
        pair("systemd", systemd),
    ])
}

/// The load average of the last minute.
pub(crate) fn load() -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let load = text.split_whitespace().next().context("no load average")?;
    Ok(load.to_owned())
}
