//! Holder of a lock, from the kernel and /proc.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Length of a command line in a message.
const LONGEST_COMMAND: usize = 120;

/// A process that has a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// Its number.
    pub pid: u32,
    /// Its command line; empty if it is gone, and a descendant holds the lock.
    pub command: String,
    /// Its systemd unit.
    pub unit: Option<String>,
}

impl LockHolder {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let inode = fs::metadata(path).ok()?.ino();
        let pid = find(&fs::read_to_string("/proc/locks").ok()?, inode)?;
        let about = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        Some(Self {
            pid,
            command: shown(&about("cmdline")),
            unit: unit(&String::from_utf8_lossy(&about("cgroup"))),
        })
    }

    pub(super) fn describe(holder: Option<&Self>) -> String {
        let Some(holder) = holder else {
            return "a process that the kernel does not name".to_owned();
        };
        let unit = holder
            .unit
            .as_ref()
            .map_or_else(String::new, |unit| format!(" of {unit}"));
        let command = if holder.command.is_empty() {
            String::new()
        } else {
            format!(" (`{}`)", holder.command)
        };
        format!("process {}{command}{unit}", holder.pid)
    }

    pub(super) fn remedy(holder: Option<&Self>, path: &Path) -> String {
        match holder {
            Some(holder) => format!(
                "if it hangs, `kill -9 {}` gives the lock back and is safe: the next handover repairs what it left",
                holder.pid
            ),
            None => format!(
                "`fuser -v {}` shows who has it open; to end that process gives the lock back",
                path.display()
            ),
        }
    }
}

/// The process that holds flock(2) on the file with that inode: `1: FLOCK  ADVISORY  WRITE 4711 00:1a:42 0 EOF`. Lines with
/// an arrow are waiting processes. The device is not compared: on btrfs the kernel names another one than stat(2).
fn find(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = words.as_slice() else {
            return None;
        };
        let locked = file.rsplit(':').next()?.parse::<u64>().ok()?;
        (locked == inode).then(|| pid.parse().ok()).flatten()
    })
}

/// A command line in one line. It is another process's, so it must not steer a terminal.
fn shown(cmdline: &[u8]) -> String {
    let text = String::from_utf8_lossy(cmdline);
    let text = text.trim_end_matches('\0').replace('\0', " ");
    let mut shown = String::new();
    for c in text.chars().take(LONGEST_COMMAND) {
        if c.is_control() || is_bidirectional(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if text.chars().count() > LONGEST_COMMAND {
        shown.push('…');
    }
    shown
}

/// Characters that change the order in which a terminal shows others.
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The innermost unit of a control group's path.
fn unit(cgroup: &str) -> Option<String> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mut parts = path.rsplit('/');
    let unit = parts.find(|part| part.ends_with(".service") || part.ends_with(".scope"))?;
    Some(shown(unit.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_is_read_as_it_is() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 00:1a:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 4711 00:1a:42 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 8 00:1a:42 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 9 fe:00:43 0 EOF\n";
        assert_eq!(find(locks, 42), Some(4711));
        assert_eq!(find(locks, 43), Some(9));
        assert_eq!(find(locks, 44), None);
    }

    #[test]
    fn a_command_line_is_one_line_and_steers_nothing() {
        assert_eq!(
            shown(b"portkeep\0handle\0reload\0"),
            "portkeep handle reload"
        );
        assert_eq!(shown(b"x\x1b[2J\n\xff"), "x\\u{1b}[2J\\n\u{fffd}");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(shown(&[b'x'; 999]).chars().count(), LONGEST_COMMAND + 1);
        assert_eq!(shown(b""), "");
    }

    #[test]
    fn its_unit_is_the_innermost() {
        let of_user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/hello.service\n";
        assert_eq!(unit(of_user).as_deref(), Some("hello.service"));
        assert_eq!(
            unit("0::/user.slice/session-4.scope\n").as_deref(),
            Some("session-4.scope")
        );
        assert_eq!(unit("0::/\n"), None);
    }

    #[test]
    fn a_holder_that_nobody_names_has_a_remedy_too() {
        let remedy = LockHolder::remedy(None, Path::new("/run/lock"));
        assert!(remedy.contains("fuser -v /run/lock"), "{remedy}");
    }
}
