//! Detects what a process does with its sockets.
//!
//! A passed socket takes connections from the start, whether or not anybody accepts them, so connecting shows nothing. What
//! the process does shows it: one of its threads, or of its descendants, waits in `accept`, `poll` or `select` on the
//! socket, or its `epoll` contains the socket. If sockets were passed to it, only those count, by their inodes: a program
//! may listen elsewhere long before it serves. A process that cannot be observed (`io_uring`, another user's) counts as
//! ready after [`PATIENCE`].

mod calls;
mod misuse;
mod process;
mod seen;
mod table;

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::time::Instant;

pub use misuse::{Misuse, says_in_use};
pub use seen::{Listening, SocketUse, Taking};

use process::{Descriptors, directory, passed, process_tree};

/// Interval of looks: the kernel does not report this.
const LOOK: Duration = Duration::from_millis(2);
/// The pause is at least this many times as long as a look.
const SHARE: u32 = 4;
/// A program that has run for this long and cannot be observed counts as ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// Observes what the process `pid` does now. An ended one does nothing.
#[must_use]
pub fn socket_use(pid: u32) -> SocketUse {
    look(pid, &mut HashSet::new())
}

/// `known` are the sockets that were passed to it; if it is empty they are looked up, since the process may close them
/// later.
fn look(pid: u32, known: &mut HashSet<u64>) -> SocketUse {
    if known.is_empty() {
        *known = passed(&directory(pid));
    }
    let listening = table::listening(&directory(pid));
    let mut found = SocketUse {
        passed: known.len(),
        ..SocketUse::default()
    };
    for pid in process_tree(pid) {
        let Some(descriptors) = Descriptors::of(directory(pid)) else {
            found.takes_passed = found.takes_passed.max(Taking::Unknown);
            continue;
        };
        let is_known = |inode| known.contains(&inode);
        found.takes_passed = found.takes_passed.max(descriptors.takes(is_known));
        for socket in &listening {
            let is_its = descriptors.has(socket.inode) && !is_known(socket.inode);
            if !is_its || found.opened.contains(socket) {
                continue;
            }
            match descriptors.takes(|inode| inode == socket.inode) {
                Taking::Yes => found.opened.push(socket.clone()),
                Taking::Unknown if known.is_empty() => found.takes_passed = Taking::Unknown,
                Taking::Unknown | Taking::No => {}
            }
        }
    }
    found
}

/// Waits until the process `pid` takes connections, for ever if it does not. False if it ends before.
pub async fn accepts(pid: u32) -> bool {
    // The descriptor identifies this process even if its number is reused.
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
        let begun = Instant::now();
        match look(pid, &mut passed).accepts() {
            Taking::Yes => return !has_ended(&process),
            Taking::Unknown if Instant::now() > patience => return !has_ended(&process),
            // Looks must not take much time from others.
            _ => tokio::time::sleep(LOOK.max(begun.elapsed() * SHARE)).await,
        }
    }
}

/// Listening sockets of the process `pid` and its descendants that were not passed to it.
#[must_use]
pub fn listening_at(pid: u32) -> Vec<Listening> {
    let passed = passed(&directory(pid));
    let mut sockets = table::listening(&directory(pid));
    let process_tree = process_tree(pid).into_iter();
    let held: Vec<_> = process_tree
        .filter_map(|pid| Descriptors::of(directory(pid)))
        .collect();
    sockets.retain(|socket| {
        let is_held = held.iter().any(|one| one.has(socket.inode));
        is_held && !passed.contains(&socket.inode)
    });
    sockets
}

/// The sockets among these on which somebody still listens.
#[must_use]
pub fn still_listening(sockets: &[Listening]) -> Vec<Listening> {
    let mut listening = table::listening(&directory(std::process::id()));
    listening.retain(|socket| sockets.contains(socket));
    listening
}

fn has_ended(process: &OwnedFd) -> bool {
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests;
