//! Whether a process takes connections: the sign of readiness of programs that cannot say `READY=1`.
//!
//! A passed socket takes connections from the start, whether or not anybody accepts them, so to connect tells nothing. What
//! tells is what the process does: a thread of it, or of a process that it started, waits in `accept` or `poll`, or its
//! `epoll` has a listening socket in it. A program that does neither (`io_uring`) counts as ready after [`PATIENCE`].

use std::collections::HashSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::time::Instant;

/// How often we look: the kernel tells nobody of it.
const LOOK: Duration = Duration::from_millis(2);
/// A program that lives for so long and is not seen to accept counts as ready.
const PATIENCE: Duration = Duration::from_secs(3);
/// Numbers of the calls that wait for connections: `accept`, `accept4`, `poll`, `ppoll`, `select`, `pselect6`.
#[cfg(target_arch = "x86_64")]
const WAITING: [&str; 6] = ["43", "288", "7", "271", "23", "270"];
#[cfg(not(target_arch = "x86_64"))]
const WAITING: [&str; 4] = ["202", "242", "73", "72"];

/// Waits until the process `pid` takes connections. False if it ends before.
pub async fn accepts(pid: u32) -> bool {
    // The descriptor names this process even when its number is given away again.
    let Some(process) = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
    else {
        return false;
    };
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if has_ended(&process) {
            return false;
        }
        let listening = listening_sockets();
        if family(pid)
            .into_iter()
            .any(|pid| does_accept(&directory(pid), &listening))
        {
            return true;
        }
        tokio::time::sleep(LOOK).await;
    }
    !has_ended(&process)
}

fn has_ended(process: &OwnedFd) -> bool {
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
}

fn directory(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// The process and all that it started.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        let tasks = entries(&directory(*pid).join("task"));
        for task in tasks {
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            family.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    family
}

fn does_accept(process: &Path, listening: &HashSet<String>) -> bool {
    let mut sockets = HashSet::new();
    let mut polls = Vec::new();
    for descriptor in entries(&process.join("fd")) {
        let Ok(target) = fs::read_link(&descriptor) else {
            continue;
        };
        let (target, number) = (target.to_string_lossy(), name(&descriptor));
        if let Some(inode) = target.strip_prefix("socket:[") {
            if listening.contains(inode.trim_end_matches(']')) {
                sockets.insert(number);
            }
        } else if target.ends_with("[eventpoll]") {
            polls.push(process.join("fdinfo").join(number));
        }
    }
    if sockets.is_empty() {
        return false;
    }
    let polled = polls
        .iter()
        .any(|poll| watches(&fs::read_to_string(poll).unwrap_or_default(), &sockets));
    polled
        || entries(&process.join("task"))
            .iter()
            .any(|task| waits(&fs::read_to_string(task.join("syscall")).unwrap_or_default()))
}

/// Whether an epoll has one of `sockets` in it, by what the kernel says of it: `tfd: 3 events: …`.
fn watches(poll: &str, sockets: &HashSet<String>) -> bool {
    poll.lines()
        .filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next())
        .any(|watched| sockets.contains(watched))
}

/// Whether a thread waits for connections, by the number of the call that it is in.
fn waits(syscall: &str) -> bool {
    syscall
        .split_whitespace()
        .next()
        .is_some_and(|call| WAITING.contains(&call))
}

/// The inodes of all listening sockets of this network.
fn listening_sockets() -> HashSet<String> {
    let table =
        |name: &str| fs::read_to_string(Path::new("/proc/self/net").join(name)).unwrap_or_default();
    let mut found = HashSet::new();
    for tcp in ["tcp", "tcp6"] {
        found.extend(
            table(tcp)
                .lines()
                .filter_map(listening_tcp)
                .map(str::to_owned),
        );
    }
    found.extend(
        table("unix")
            .lines()
            .filter_map(listening_unix)
            .map(str::to_owned),
    );
    found
}

fn listening_tcp(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    // The state is the fourth word; 0A listens. The inode is the tenth.
    (words.nth(3)? == "0A").then(|| words.nth(5)).flatten()
}

fn listening_unix(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    // The flags are the fourth word, the inode is the seventh.
    (words.nth(3)? == "00010000")
        .then(|| words.nth(2))
        .flatten()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    // It may be gone.
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_socket_that_nobody_accepts_from_is_no_sign() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = directory(std::process::id());
        let sockets = listening_sockets();
        assert!(entries(&here.join("fd")).len() > 1);
        // The test's runtime has an epoll, but without this socket in it.
        let descriptors: HashSet<_> = [name(Path::new("/x/999"))].into();
        assert!(!watches("tfd: 3 events: 19\n", &descriptors));
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        assert!(does_accept(&here, &sockets));
        drop(listener);
    }

    #[test]
    fn the_kernels_tables_are_read_as_they_are() {
        let tcp = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000";
        assert_eq!(listening_tcp(tcp), Some("4711"));
        assert_eq!(listening_tcp(&tcp.replace(" 0A ", " 01 ")), None);
        let directory = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let table = fs::read_to_string("/proc/self/net/unix").unwrap();
        let line = table.lines().find(|line| line.ends_with("/s")).unwrap();
        assert!(listening_unix(line).unwrap().parse::<u64>().is_ok());
        assert!(waits("288 0x3 0x0\n") == cfg!(target_arch = "x86_64"));
        assert!(!waits("running\n"));
    }
}
