//! Users of the machine, and their rights on a file as the kernel sees them.

use std::io;
use std::thread;

use nix::unistd;
use rustix::fs::{Access, AtFlags, CWD, accessat};

/// The last of systemd's numbers for dynamic users. It owns no files, so it may do what everybody may.
const STRANGER: u32 = 65519;
/// The kernel's number for owners that a user namespace does not know.
const UNMAPPED: u32 = 65534;

/// The name of a user; none if the machine knows none.
#[must_use]
pub fn user_name(number: u32) -> Option<String> {
    let user = unistd::User::from_uid(number.into()).ok().flatten();
    user.map(|user| user.name)
}

/// The user of an app's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunsAs {
    /// The user who runs portkeep.
    Us,
    /// A user of the machine, by name or number.
    Named(String),
    /// A user that the manager creates, without groups.
    Dynamic(String),
}

impl RunsAs {
    /// The user with whose rights a file is checked; none if it is this one, or unknown.
    pub(crate) fn other_user(&self) -> Option<User> {
        match self {
            Self::Us => None,
            Self::Named(name) => User::named(name).filter(|user| !user.is_root()),
            Self::Dynamic(name) => Some(User::dynamic(name)),
        }
    }
}

/// A user with whose rights a file is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    user: u32,
    group: u32,
    groups: Vec<u32>,
}

impl User {
    /// The user with that number, with all groups; one without a name has no groups.
    pub(crate) fn of_number(number: u32) -> Self {
        let known = unistd::User::from_uid(number.into()).ok().flatten();
        known.map_or_else(
            || Self {
                name: number.to_string(),
                user: number,
                group: STRANGER,
                groups: Vec::new(),
            },
            Self::of,
        )
    }

    /// The user with that name or number; none if there is none.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let known = unistd::User::from_name(name).ok().flatten();
        known
            .map(Self::of)
            .or_else(|| name.parse().ok().map(Self::of_number))
    }

    /// A user that does not exist before the app starts: systemd creates it.
    pub(crate) fn dynamic(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            user: STRANGER,
            group: STRANGER,
            groups: Vec::new(),
        }
    }

    fn of(known: unistd::User) -> Self {
        Self {
            groups: groups_of(&known),
            name: known.name,
            user: known.uid.as_raw(),
            group: known.gid.as_raw(),
        }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.user == 0
    }

    /// Does `work` in a thread with exactly this user's rights to files: the kernel decides, by owner, mode, access list
    /// and everything else. Only root can.
    ///
    /// # Errors
    /// When the rights cannot be taken.
    #[cfg(target_os = "linux")]
    pub(crate) fn with_rights<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                self.take_rights()?;
                Ok(work())
            });
            match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// For this thread only. The real and effective user stay, so that nobody else may signal it.
    #[cfg(target_os = "linux")]
    fn take_rights(&self) -> io::Result<()> {
        let groups: Vec<_> = self
            .groups
            .iter()
            .map(|group| rustix::fs::Gid::from_raw(*group))
            .collect();
        rustix::thread::set_thread_groups(&groups)?;
        unistd::setfsgid(self.group.into());
        unistd::setfsuid(self.user.into());
        // The call cannot fail, but returns the earlier user.
        let taken = unistd::setfsuid(self.user.into()).as_raw() == self.user
            && unistd::setfsgid(self.group.into()).as_raw() == self.group;
        if taken {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn with_rights<T: Send>(&self, _work: impl FnOnce() -> T + Send) -> io::Result<T> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(target_os = "linux")]
fn groups_of(user: &unistd::User) -> Vec<u32> {
    let name = std::ffi::CString::new(user.name.as_str()).ok();
    let groups = name.and_then(|name| unistd::getgrouplist(&name, user.gid).ok());
    let groups = groups.unwrap_or_default().into_iter();
    groups.map(unistd::Gid::as_raw).collect()
}

/// This system cannot take on another user's rights.
#[cfg(not(target_os = "linux"))]
fn groups_of(_user: &unistd::User) -> Vec<u32> {
    Vec::new()
}

/// Whether this thread may do `what` with the file at `path`.
pub(crate) fn may(path: &std::path::Path, what: Access) -> bool {
    accessat(CWD, path, what, AtFlags::EACCESS).is_ok()
}

/// For messages: a user's name, or the number if there is none.
pub(crate) fn name_of(number: u32) -> String {
    let known = unistd::User::from_uid(number.into()).ok().flatten();
    known.map_or_else(|| format!("user {number}"), |known| known.name)
}

/// For messages: a group's name, or the number if there is none.
pub(crate) fn group_name(number: u32) -> String {
    let known = unistd::Group::from_gid(number.into()).ok().flatten();
    known.map_or_else(|| number.to_string(), |known| known.name)
}

/// Whether only this process's user is in that group, as when each user has a group with the same name.
pub(crate) fn is_private_group(number: u32) -> bool {
    let me = unistd::User::from_uid(unistd::geteuid()).ok().flatten();
    let group = unistd::Group::from_gid(number.into()).ok().flatten();
    let (Some(me), Some(group)) = (me, group) else {
        return false;
    };
    group.gid == me.gid && group.name == me.name && group.mem.iter().all(|one| *one == me.name)
}

/// Whether it stands for users outside of this process's user namespace.
pub(crate) fn is_outside(number: u32) -> bool {
    let map = || std::fs::read_to_string("/proc/self/uid_map");
    number == UNMAPPED && map().is_ok_and(|map| !maps(&map, number))
}

/// Lines of `inside outside count`.
fn maps(map: &str, number: u32) -> bool {
    map.lines().any(|line| {
        let mut words = line
            .split_whitespace()
            .map(|word| word.parse::<u64>().unwrap_or_default());
        let (first, _, count) = (words.next(), words.next(), words.next());
        let (first, count) = (first.unwrap_or_default(), count.unwrap_or_default());
        (first..first + count).contains(&u64::from(number))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_kernel_decides_as_for_that_user_and_this_process_keeps_its_rights() {
        if !unistd::geteuid().is_root() {
            // Nobody else may take on another user's rights.
            assert!(User::dynamic("x").with_rights(|| ()).is_err());
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        let stranger = User::dynamic("x");
        let reads =
            || stranger.with_rights(|| fs::read(&file).is_ok() && may(&file, Access::READ_OK));
        for (directory_mode, mode, expected) in [
            (0o700, 0o644, false),
            (0o711, 0o644, true),
            (0o711, 0o640, false),
            (0o710, 0o644, false),
        ] {
            let set = |path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode));
            set(directory.path(), directory_mode).unwrap();
            set(&file, mode).unwrap();
            assert_eq!(reads().unwrap(), expected, "{directory_mode:o} {mode:o}");
        }
        assert!(fs::read(&file).is_ok());
        assert!(User::of_number(0).is_root());
        assert_eq!(User::named("no-such-user-here"), None);
    }

    #[test]
    fn namespaces_are_read_as_the_kernel_writes_them() {
        assert!(maps("         0          0 4294967295\n", 65534));
        assert!(!maps("      1000       1000          1\n", 65534));
        assert!(maps("0 1000 1\n1 100000 65536\n", 65534));
        assert!(!maps("", 0));
        assert!(!is_outside(1000));
    }
}
