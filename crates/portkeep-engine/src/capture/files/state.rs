//! State of a file, which shows a change without reading the file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, RawMode, Stat};
use serde::{Deserialize, Serialize};

/// Resolution of times on the coarsest file systems. A change within it may leave the times as they were.
const COARSEST: Duration = Duration::from_secs(2);

/// State of a file, a directory or a link. For a directory, only what does not change with its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    device: u64,
    pub(super) inode: u64,
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) size: u64,
    /// In nanoseconds since 1970.
    modified: i128,
    changed: i128,
}

impl State {
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "the types differ between systems"
    )]
    pub(super) fn of(stat: &Stat) -> Self {
        let nanoseconds = |seconds: i128, rest: i128| seconds * 1_000_000_000 + rest;
        let mut state = Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            mode: u32::from(stat.st_mode),
            owner: stat.st_uid,
            group: stat.st_gid,
            size: 0,
            modified: 0,
            changed: 0,
        };
        if !state.kind().is_dir() {
            state.size = u64::try_from(stat.st_size).unwrap_or_default();
            state.modified = nanoseconds(stat.st_mtime.into(), stat.st_mtime_nsec.into());
            state.changed = nanoseconds(stat.st_ctime.into(), stat.st_ctime_nsec.into());
        }
        state
    }

    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_possible_truncation,
        reason = "it is as wide as the system has it"
    )]
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode as RawMode)
    }

    pub(super) fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }

    /// Whether it is the same file with the same contents. Links to it may have changed.
    pub(super) fn has_contents_of(&self, then: &Self) -> bool {
        (self.device, self.inode) == (then.device, then.inode)
            && (self.size, self.modified, self.mode) == (then.size, then.modified, then.mode)
    }

    /// Whether another change would alter its times.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = i128::try_from(now.saturating_sub(COARSEST).as_nanos()).unwrap_or(i128::MAX);
        self.modified.max(self.changed) < since
    }

    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.device.to_le_bytes());
        hasher.update(&self.inode.to_le_bytes());
        hasher.update(&self.size.to_le_bytes());
        for number in [self.mode, self.owner, self.group] {
            hasher.update(&number.to_le_bytes());
        }
        for time in [self.modified, self.changed] {
            hasher.update(&time.to_le_bytes());
        }
    }
}

/// The kind of a file that cannot be captured, for messages.
pub(super) fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else than a file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_or_of_the_future_may_change_unseen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let state = State::of(&rustix::fs::lstat(&path).unwrap());
        let now = SystemTime::now();
        assert!(!state.is_settled(now));
        assert!(state.is_settled(now + Duration::from_secs(60)));
        assert!(!state.is_settled(now - Duration::from_secs(60)));
        // The modification time alone proves nothing: archivers and `touch` set it.
        let old = UNIX_EPOCH + Duration::from_secs(1);
        std::fs::File::open(&path)
            .unwrap()
            .set_modified(old)
            .unwrap();
        assert!(!State::of(&rustix::fs::lstat(&path).unwrap()).is_settled(now));
    }
}
