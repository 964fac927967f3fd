//! Files with the numbers of running processes, so that the next portkeep finds those that a killed one left running.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portkeep_spec::small_file;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use super::members::{self, Stat};
use crate::store::atomic_write;

/// How long a leftover process may take to end before it is killed: nobody who knows of it uses it.
const DEADLINE: Duration = Duration::from_secs(5);
/// A pid file is shorter.
const LONGEST: u64 = 4096;

/// A process that was left running, and has been ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftoverProcess {
    /// Its number.
    pub pid: u32,
    /// Its description, from its starter.
    pub what: String,
}

impl fmt::Display for LeftoverProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.what, self.pid)
    }
}

/// The file of a running process. Dropping this removes it.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    pub(super) fn write(directory: &Path, pid: Pid, what: &str) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        // Its session may be from outside the container, and have no number here: 0, with which rustix's getsid panics.
        let stat = Stat::of(pid);
        let noted = PidRecord {
            pid,
            boot: boot(),
            started: stat.as_ref().map_or(0, |stat| stat.started),
            session: stat.map_or(0, |stat| stat.session),
            what: what.to_owned(),
        };
        let path = directory.join(pid.as_raw_nonzero().to_string());
        atomic_write(&path, noted.text().as_bytes(), 0o600)?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Contents of a pid file. The number alone may be another process tomorrow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PidRecord {
    pid: Pid,
    boot: String,
    started: u64,
    session: i32,
    what: String,
}

impl PidRecord {
    fn text(&self) -> String {
        let Self {
            pid,
            boot,
            started,
            session,
            what,
        } = self;
        let pid = pid.as_raw_nonzero();
        format!("{pid} {started} {session} {boot}\n{what}\n")
    }

    fn read(text: &str) -> Option<Self> {
        let (numbers, what) = text.split_once('\n')?;
        let mut words = numbers.split_whitespace();
        let mut word = || words.next();
        Some(Self {
            pid: Pid::from_raw(word()?.parse().ok()?)?,
            started: word()?.parse().ok()?,
            session: word()?.parse().ok()?,
            boot: word()?.to_owned(),
            what: what.trim_end().to_owned(),
        })
    }

    /// Its running processes: itself, and its descendants in its group. If its number is another's, so is the group's.
    fn running(&self) -> Vec<OwnedFd> {
        if self.boot != boot() {
            return Vec::new();
        }
        // The descriptor identifies this process even if the number is reused; so open first, then compare.
        let leader = pidfd_open(self.pid, PidfdFlags::empty()).ok();
        let stat = Stat::of(self.pid);
        let is_same = stat.is_some_and(|stat| stat.started == self.started);
        if stat.is_some() && !is_same {
            return Vec::new();
        }
        let members = members::of(self.pid).into_iter();
        let members = members
            .filter(|(stat, _)| stat.session == self.session && stat.started >= self.started)
            .map(|(_, descriptor)| descriptor);
        leader
            .filter(|_| is_same)
            .into_iter()
            .chain(members)
            .collect()
    }
}

/// The id of this boot.
fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    match id.trim() {
        "" => "-".to_owned(),
        id => id.to_owned(),
    }
}

/// Processes that are killed when this is dropped.
struct KilledAtTheEnd(Vec<OwnedFd>);

impl Drop for KilledAtTheEnd {
    fn drop(&mut self) {
        for process in &self.0 {
            // It has ended, if nobody was in a hurry.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
}

/// Ends the processes of all pid files in a directory at once, and returns those that ran. If this is dropped, it kills them.
pub(super) async fn end_left(directory: &Path) -> Vec<LeftoverProcess> {
    let (mut left, mut killed) = (Vec::new(), KilledAtTheEnd(Vec::new()));
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let noted = small_file::read(&path, LONGEST).ok();
        let noted = noted.and_then(|text| PidRecord::read(&String::from_utf8_lossy(&text)));
        let Some(noted) = noted else {
            let _ = fs::remove_file(&path);
            continue;
        };
        let running = noted.running();
        for process in &running {
            let _ = pidfd_send_signal(process, Signal::TERM);
            killed.0.extend(process.try_clone());
        }
        left.push((path, noted, running));
    }
    let mut deadline = DEADLINE;
    let mut ended = Vec::new();
    for (path, noted, running) in left {
        let has_run = !running.is_empty();
        let begun = Instant::now();
        let stubborn = members::wait(running, deadline).await;
        deadline = deadline.saturating_sub(begun.elapsed());
        for process in &stubborn {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        let _ = members::wait(stubborn, DEADLINE).await;
        // Descendants that it started meanwhile, or that ignore the signal. Its group has a process, so the number is its
        // own.
        if has_run && !members::of(noted.pid).is_empty() {
            let _ = kill_process_group(noted.pid, Signal::KILL);
        }
        let _ = fs::remove_file(path);
        if has_run {
            ended.push(LeftoverProcess {
                pid: noted.pid.as_raw_nonzero().get().unsigned_abs(),
                what: noted.what,
            });
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let noted = PidRecord {
            pid: Pid::from_raw(7).unwrap(),
            boot: "b".to_owned(),
            started: 8,
            session: 9,
            what: "generation 3 of hello".to_owned(),
        };
        assert_eq!(PidRecord::read(&noted.text()), Some(noted));
        assert_eq!(PidRecord::read("7 8"), None);
    }
}
