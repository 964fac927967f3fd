//! Descriptors and threads of a process, from `/proc`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::calls::waits;
use super::seen::Taking;

pub(super) fn directory(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// The process and its descendants.
pub(super) fn process_tree(pid: u32) -> Vec<u32> {
    let mut process_tree = vec![pid];
    let mut at = 0;
    while let Some(pid) = process_tree.get(at) {
        let tasks = entries(&directory(*pid).join("task"));
        for task in tasks {
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            process_tree.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    process_tree
}

/// The inodes of the sockets that were passed to a process, by its initial environment: the descriptors from 3 on.
pub(super) fn passed(process: &Path) -> HashSet<u64> {
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0);
    let count = variables.find_map(|one| {
        let value = one.strip_prefix(b"LISTEN_FDS=")?;
        std::str::from_utf8(value).ok()?.parse::<u32>().ok()
    });
    let descriptors = 3..3 + count.unwrap_or_default().min(64);
    let inode = |descriptor: u32| {
        let link = fs::read_link(process.join("fd").join(descriptor.to_string())).ok()?;
        socket(&link.to_string_lossy())
    };
    descriptors.filter_map(inode).collect()
}

/// The inode of a socket, from the link of a descriptor.
pub(super) fn socket(link: &str) -> Option<u64> {
    let number = link.strip_prefix("socket:[")?.strip_suffix(']')?;
    number.parse().ok()
}

/// The relevant descriptors of a process.
#[derive(Debug)]
pub(super) struct Descriptors {
    process: PathBuf,
    /// The inodes of its sockets, by descriptor.
    sockets: HashMap<u32, u64>,
    /// The kernel's description of its epolls.
    polls: Vec<String>,
    has_ring: bool,
}

impl Descriptors {
    /// Nothing if they may not be read.
    pub(super) fn of(process: PathBuf) -> Option<Self> {
        let entries = fs::read_dir(process.join("fd")).ok()?;
        let mut found = Self {
            sockets: HashMap::new(),
            polls: Vec::new(),
            has_ring: false,
            process,
        };
        for descriptor in entries.flatten().map(|entry| entry.path()) {
            let Ok(target) = fs::read_link(&descriptor) else {
                continue;
            };
            let (target, number) = (target.to_string_lossy(), number(&descriptor));
            if let Some(inode) = socket(&target) {
                found.sockets.insert(number, inode);
            } else if target.ends_with("[eventpoll]") {
                let poll = found.process.join("fdinfo").join(number.to_string());
                found
                    .polls
                    .push(fs::read_to_string(poll).unwrap_or_default());
            } else if target.ends_with("[io_uring]") {
                found.has_ring = true;
            }
        }
        Some(found)
    }

    pub(super) fn has(&self, inode: u64) -> bool {
        self.sockets.values().any(|one| *one == inode)
    }

    /// Whether the process takes connections from one of these sockets.
    pub(super) fn takes(&self, wanted: impl Fn(u64) -> bool) -> Taking {
        let sockets = self.sockets.iter();
        let numbers: HashSet<u32> = sockets
            .filter(|(_, inode)| wanted(**inode))
            .map(|(number, _)| *number)
            .collect();
        if numbers.is_empty() {
            return Taking::No;
        }
        let polled = self.polls.iter().any(|poll| watches(poll, &numbers));
        if polled || self.waits_at(&numbers) {
            Taking::Yes
        } else if self.has_ring {
            Taking::Unknown
        } else {
            Taking::No
        }
    }

    fn waits_at(&self, numbers: &HashSet<u32>) -> bool {
        let memory = fs::File::open(self.process.join("mem")).ok();
        let tasks = entries(&self.process.join("task"));
        tasks.iter().any(|task| {
            let call = fs::read_to_string(task.join("syscall")).unwrap_or_default();
            waits(&call, numbers, memory.as_ref())
        })
    }
}

/// Whether an epoll contains one of `sockets`, by the kernel's description: `tfd: 3 events: …`.
pub(super) fn watches(poll: &str, sockets: &HashSet<u32>) -> bool {
    poll.lines()
        .filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next())
        .filter_map(|word| word.parse().ok())
        .any(|watched| sockets.contains(&watched))
}

pub(super) fn entries(directory: &Path) -> Vec<PathBuf> {
    // It may be gone.
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

fn number(descriptor: &Path) -> u32 {
    let name = descriptor.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).unwrap_or(u32::MAX)
}
