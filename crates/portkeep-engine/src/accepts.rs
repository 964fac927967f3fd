//! Whether a process takes connections: the sign of readiness of programs that cannot say `READY=1`.
//!
//! A passed socket takes connections from the start, whether or not anybody accepts them, so to connect tells nothing. What
//! tells is what the process does: a thread of it, or of a process that it started, waits in `accept` or `poll`, or its
//! `epoll` has a listening socket in it. Where sockets were passed to it, only those count: a program may listen elsewhere long
//! before it serves. One whose doing cannot be seen (`io_uring`, another user's) counts as ready after [`PATIENCE`].

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
/// A program that lives for so long and cannot be seen to accept counts as ready.
const PATIENCE: Duration = Duration::from_secs(3);
/// Numbers of the calls that wait for connections at the descriptor that they are given first: `accept`, `accept4`.
#[cfg(target_arch = "x86_64")]
const ACCEPTING: [&str; 2] = ["43", "288"];
#[cfg(not(target_arch = "x86_64"))]
const ACCEPTING: [&str; 2] = ["202", "242"];
/// Numbers of the calls that wait at descriptors which cannot be seen: `poll`, `ppoll`, `select`, `pselect6`.
#[cfg(target_arch = "x86_64")]
const WAITING: [&str; 4] = ["7", "271", "23", "270"];
#[cfg(not(target_arch = "x86_64"))]
const WAITING: [&str; 2] = ["73", "72"];

/// What is seen of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    /// It does not take connections.
    Nothing,
    /// It may take connections.
    Unknown,
    Accepts,
}

/// Waits until the process `pid` takes connections, for ever if it does not. False if it ends before.
pub async fn accepts(pid: u32) -> bool {
    // The descriptor names this process even when its number is given away again.
    let Some(process) = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
    else {
        return false;
    };
    let patience = Instant::now() + PATIENCE;
    let mut passed = HashSet::new();
    loop {
        if has_ended(&process) {
            return false;
        }
        if passed.is_empty() {
            passed = passed_sockets(&directory(pid));
        }
        let mut listening = listening_sockets();
        if !passed.is_empty() {
            listening.retain(|inode| passed.contains(inode));
        }
        let family = family(pid).into_iter();
        let seen = family.map(|pid| look(&directory(pid), &listening)).max();
        match seen {
            Some(Seen::Accepts) => return !has_ended(&process),
            Some(Seen::Unknown) if Instant::now() > patience => return !has_ended(&process),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// The inodes of the sockets that a process was passed, by the environment that it began with: the descriptors from 3 on.
fn passed_sockets(process: &Path) -> HashSet<String> {
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0);
    let count = variables.find_map(|one| {
        let value = one.strip_prefix(b"LISTEN_FDS=")?;
        std::str::from_utf8(value).ok()?.parse::<u32>().ok()
    });
    let descriptors = 3..3 + count.unwrap_or_default().min(64);
    let inode = |descriptor: u32| {
        let link = fs::read_link(process.join("fd").join(descriptor.to_string())).ok()?;
        socket(&link.to_string_lossy()).map(str::to_owned)
    };
    descriptors.filter_map(inode).collect()
}

/// The inode of a socket, by what the link of a descriptor says.
fn socket(link: &str) -> Option<&str> {
    link.strip_prefix("socket:[")?.strip_suffix(']')
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

fn look(process: &Path, listening: &HashSet<String>) -> Seen {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else {
        return Seen::Unknown;
    };
    let mut sockets = HashSet::new();
    let mut polls = Vec::new();
    let mut has_ring = false;
    for descriptor in descriptors.flatten().map(|entry| entry.path()) {
        let Ok(target) = fs::read_link(&descriptor) else {
            continue;
        };
        let (target, number) = (target.to_string_lossy(), name(&descriptor));
        if let Some(inode) = socket(&target) {
            if listening.contains(inode) {
                sockets.insert(number);
            }
        } else if target.ends_with("[eventpoll]") {
            polls.push(process.join("fdinfo").join(number));
        } else if target.ends_with("[io_uring]") {
            has_ring = true;
        }
    }
    if sockets.is_empty() {
        return Seen::Nothing;
    }
    let polled = polls
        .iter()
        .any(|poll| watches(&fs::read_to_string(poll).unwrap_or_default(), &sockets));
    let waits = || {
        entries(&process.join("task")).iter().any(|task| {
            let call = fs::read_to_string(task.join("syscall"));
            waits(&call.unwrap_or_default(), &sockets)
        })
    };
    if polled || waits() {
        Seen::Accepts
    } else if has_ring {
        Seen::Unknown
    } else {
        Seen::Nothing
    }
}

/// Whether an epoll has one of `sockets` in it, by what the kernel says of it: `tfd: 3 events: …`.
fn watches(poll: &str, sockets: &HashSet<String>) -> bool {
    poll.lines()
        .filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next())
        .any(|watched| sockets.contains(watched))
}

/// Whether a thread waits for connections at one of `sockets`, by the call that it is in: `43 0x3 …`.
fn waits(syscall: &str, sockets: &HashSet<String>) -> bool {
    let mut words = syscall.split_whitespace();
    let Some(call) = words.next() else {
        return false;
    };
    let mut descriptor = || {
        let word = words.next()?.strip_prefix("0x")?;
        Some(u32::from_str_radix(word, 16).ok()?.to_string())
    };
    WAITING.contains(&call)
        || ACCEPTING.contains(&call) && descriptor().is_some_and(|one| sockets.contains(&one))
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
        assert_eq!(look(&here, &sockets), Seen::Accepts);
        // What listens elsewhere is no sign.
        let others = HashSet::from(["0".to_owned()]);
        assert_eq!(look(&here, &others), Seen::Nothing);
        drop(listener);
    }

    #[tokio::test]
    async fn who_listens_elsewhere_first_is_ready_when_it_takes_what_it_was_passed() {
        // The listener that python opens itself accepts at once; the passed one when its standard input ends.
        const PROGRAM: &str = "import socket, sys, threading\n\
             other = socket.create_server(('127.0.0.1', 0))\n\
             threading.Thread(target=other.accept, daemon=True).start()\n\
             print('begun', flush=True)\n\
             sys.stdin.read()\n\
             socket.socket(fileno=3).accept()\n";
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};

        use command_fds::{CommandFdExt, FdMapping};

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = Command::new("python3");
        command
            .args(["-c", PROGRAM])
            .env("LISTEN_FDS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mapping = FdMapping {
            parent_fd: listener.into(),
            child_fd: 3,
        };
        let mut child = command.fd_mappings(vec![mapping]).unwrap().spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let mut ready = std::pin::pin!(accepts(child.id()));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut ready).await;
        assert!(early.is_err(), "it does not take what it was passed yet");
        drop(child.stdin.take());
        let ready = tokio::time::timeout(Duration::from_secs(30), ready).await;
        assert!(ready.unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
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
        let sockets = HashSet::from(["3".to_owned()]);
        let [accept, _] = ACCEPTING;
        assert!(waits(&format!("{accept} 0x3 0x0\n"), &sockets));
        assert!(!waits(&format!("{accept} 0x4 0x0\n"), &sockets));
        assert!(!waits("running\n", &sockets));
        assert_eq!(socket("socket:[17]"), Some("17"));
        assert_eq!(socket("pipe:[17]"), None);
    }
}
