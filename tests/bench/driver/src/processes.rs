//! Processes: starting them apart, finding them by their program, ending them, and what they take.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// What a tool may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a command may take. One tool that hangs must not end the whole run.
const LONGEST: Duration = Duration::from_secs(60);

/// A process in a group of its own, with its output in a file.
pub(crate) struct Started {
    child: Child,
}

impl Started {
    /// In a control group and a session of its own, as a unit has them: processors are shared out among control groups,
    /// else among sessions, and a tool in those of the client would be given another share.
    pub(crate) fn spawn(tool: Command, log: &Path) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new("setsid");
        command.args([
            "systemd-run",
            "--scope",
            "--quiet",
            "--collect",
            "--slice=system.slice",
            "--",
        ]);
        command.arg(tool.get_program()).args(tool.get_args());
        if let Some(directory) = tool.get_current_dir() {
            command.current_dir(directory);
        }
        command.envs(
            tool.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
        Ok(Self { child })
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    /// The same, then SIGKILL to all that it has started and left behind, whatever program that is and in whatever group.
    pub(crate) fn end_all(self) {
        let scope = self.scope();
        self.end();
        if let Some(scope) = scope {
            // Where the kernel has no such file, or nothing is left, there is nothing to do.
            let _ = fs::write(scope.join("cgroup.kill"), "1");
        }
    }

    /// The control group that it was started in: one that systemd-run made, and never that of this program.
    fn scope(&self) -> Option<PathBuf> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let its = fs::read_to_string(format!("/proc/{}/cgroup", self.pid())).ok()?;
        let path = its.trim().strip_prefix("0::/")?;
        let apart = its != own && path.ends_with(".scope");
        apart.then(|| Path::new("/sys/fs/cgroup").join(path))
    }

    /// SIGTERM, then SIGKILL to all of its group.
    pub(crate) fn end(mut self) {
        signal(self.pid(), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Some(group) = Pid::from_raw(self.pid()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Sends a signal; who is gone does not need it.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Runs a command to its end; its output is in the error if it fails.
pub(crate) fn run<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> anyhow::Result<String> {
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().context("no command")?);
    command.args(words);
    run_within(command, LONGEST)
}

/// The same; one that takes longer is killed, and has failed.
pub(crate) fn run_within(mut command: Command, limit: Duration) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let pid = i32::try_from(child.id()).unwrap_or_default();
    let (sender, ended) = mpsc::channel();
    // Not joined: what the command has started may hold its output for ever.
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(limit) else {
        signal(pid, Signal::KILL);
        anyhow::bail!("{program} did not end within {limit:?}");
    };
    let Output {
        status,
        stdout,
        stderr,
    } = output?;
    let text = String::from_utf8_lossy(&stdout).into_owned();
    let errors = String::from_utf8_lossy(&stderr);
    anyhow::ensure!(status.success(), "{program} failed: {text}{errors}");
    Ok(text)
}

/// The processes whose program is this file, also if the file was replaced since.
pub(crate) fn of_program(program: &Path) -> Vec<i32> {
    let deleted = PathBuf::from(format!("{} (deleted)", program.display()));
    processes(|pid| {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program || exe == deleted)
    })
}

/// The processes whose program has this file name.
pub(crate) fn named(name: &str) -> Vec<i32> {
    processes(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with(name)))
}

/// The process and its descendants, without those that run `except`.
pub(crate) fn tree(root: i32, except: &Path) -> Vec<i32> {
    let apps = of_program(except);
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        next += 1;
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = children.unwrap_or_default();
        found.extend(
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok())
                .filter(|pid| !apps.contains(pid)),
        );
    }
    found
}

/// Kills what still runs a program.
pub(crate) fn end_program(program: &Path) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = of_program(program);
        if left.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in left {
            signal(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Memory that only these processes use, and their part of what they share: proportional set size, in KiB.
pub(crate) fn memory(pids: &[i32]) -> u64 {
    pids.iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok())
        .filter_map(|text| {
            let line = text.lines().find(|line| line.starts_with("Pss:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .sum()
}

fn processes(is: impl Fn(i32) -> bool) -> Vec<i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| is(*pid))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn a_command_that_hangs_is_ended() {
        let begun = Instant::now();
        let mut hangs = Command::new("sleep");
        hangs.arg("60");
        let error = run_within(hangs, Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(run(["echo", "done"]).unwrap(), "done\n");
        assert!(run(["false"]).is_err());
    }
}
