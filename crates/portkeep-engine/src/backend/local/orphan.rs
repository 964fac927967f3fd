//! Generations that a killed `portkeep dev` left running.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::Pid;

use crate::generation::Generation;
use crate::store::{Store, atomic_write};

/// How long an orphan may take to end before it is killed: it serves nobody that knows of it.
const DEADLINE: Duration = Duration::from_secs(5);

/// Remembers the process of a generation, with its start time: a number alone may be another process tomorrow.
pub(super) fn note(store: &Store, generation: Generation, pid: u32) -> io::Result<()> {
    let started = start_time(pid).unwrap_or_default();
    let text = format!("{pid} {started}");
    atomic_write(
        &store.generation_directory(generation).join("pid"),
        text.as_bytes(),
        0o600,
    )
}

pub(super) fn forget(store: &Store, generation: Generation) {
    let _ = fs::remove_file(store.generation_directory(generation).join("pid"));
}

/// Ends the noted process of a generation if it still runs. True if there was one.
pub(super) fn end(store: &Store, generation: Generation) -> bool {
    let path = store.generation_directory(generation).join("pid");
    let Ok(text) = fs::read_to_string(&path) else {
        return false;
    };
    let noted = text
        .split_once(' ')
        .and_then(|(pid, started)| Some((pid.parse().ok()?, started)));
    let ended = noted.is_some_and(|(pid, started)| end_process(pid, started));
    let _ = fs::remove_file(path);
    ended
}

/// Field 22 of `/proc/PID/stat`, counted after the command, which may contain anything.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_command) = stat.rsplit_once(')')?;
    after_command.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(target_os = "linux")]
fn end_process(pid: u32, started: &str) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    // The descriptor names this process even when the number is given away again; so open first, then compare.
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    if start_time(pid.as_raw_nonzero().get().unsigned_abs()).as_deref() != Some(started) {
        return false;
    }
    let _ = pidfd_send_signal(&descriptor, Signal::TERM);
    let deadline = Timespec {
        tv_sec: DEADLINE.as_secs().cast_signed(),
        tv_nsec: 0,
    };
    let gone = poll(
        &mut [PollFd::new(&descriptor, PollFlags::IN)],
        Some(&deadline),
    )
    .is_ok_and(|ready| ready > 0);
    if !gone {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    true
}

/// Without process descriptors the number cannot be trusted: leave it, the busy port will be named.
#[cfg(not(target_os = "linux"))]
fn end_process(_pid: u32, _started: &str) -> bool {
    false
}
