//! Processes of a group other than its leader.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::task::spawn_blocking;

const NONE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Fields of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    is_zombie: bool,
    group: i32,
    pub(super) session: i32,
    /// In ticks since the boot.
    pub(super) started: u64,
}

impl Stat {
    pub(super) fn of(pid: Pid) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        Self::read(&stat)
    }

    #[cfg(test)]
    pub(super) fn is_zombie(&self) -> bool {
        self.is_zombie
    }

    fn read(stat: &str) -> Option<Self> {
        // Counted after the command, which may contain anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        Some(Self {
            is_zombie: matches!(*fields.first()?, "Z" | "X"),
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// The running ones, each with a descriptor that identifies it even if its number is reused.
pub(super) fn of(leader: Pid) -> Vec<(Stat, OwnedFd)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let group = leader.as_raw_nonzero().get();
    let is_member = |stat: &Stat| stat.group == group && !stat.is_zombie;
    pids.filter(|pid| *pid != leader)
        .filter_map(|pid| {
            Stat::of(pid).filter(is_member)?;
            let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            // It is the same process only if it still looks the same.
            Some((Stat::of(pid).filter(is_member)?, descriptor))
        })
        .collect()
}

/// Waits until those that run now have ended, but not longer than `patience`.
pub(super) async fn ended(leader: Pid, patience: Duration) {
    let members = of(leader).into_iter();
    let _ = wait(members.map(|(_, member)| member).collect(), patience).await;
}

/// Waits until all of these processes have ended. Returns those that have not after `patience`.
pub(super) async fn wait(processes: Vec<OwnedFd>, patience: Duration) -> Vec<OwnedFd> {
    if processes.is_empty() {
        return processes;
    }
    let until = Instant::now() + patience;
    let waiting = spawn_blocking(move || {
        let mut left = processes;
        left.retain(|process| {
            let rest = until.saturating_duration_since(Instant::now());
            let rest = Timespec::try_from(rest).unwrap_or(NONE);
            let ended = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&rest));
            !ended.is_ok_and(|ended| ended > 0)
        });
        left
    });
    waiting.await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_described_after_its_name() {
        let line = "7 (a) b) S 1 5 4 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        assert_eq!(
            Stat::read(line),
            Some(Stat {
                is_zombie: false,
                group: 5,
                session: 4,
                started: 4711
            })
        );
        assert_eq!(Stat::read("7 (a"), None);
    }
}
