//! Who may use a copy: nobody who might not use what it was made of.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};
use rustix::process::geteuid;

/// Nobody but its owner writes into a copy, and it gives no rights of its owner to others.
const KEPT_BITS: u32 = 0o755;
const GROUP_BITS: u32 = 0o070;
/// Everybody may read and execute.
const OPEN: u32 = 0o005;
/// Where Linux keeps an access list.
const LIST: &str = "system.posix_acl_access";
/// The longest that one can be.
const LONGEST_LIST: usize = 64 << 10;

/// What may be done with a file, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    owner: u32,
    group: u32,
    mode: u32,
    list: Option<Vec<u8>>,
}

/// What a copy gets.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    /// None: who makes it keeps it.
    owner: Option<u32>,
    mode: u32,
}

impl Access {
    pub(super) fn of(file: &File, metadata: &Metadata) -> Self {
        let mut list = vec![0; LONGEST_LIST];
        // No list, or a file system that has none.
        let length = fgetxattr(file, LIST, &mut list[..]).ok();
        Self {
            owner: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode() & 0o777,
            list: length.filter(|length| *length > 0).map(|length| {
                list.truncate(length);
                list
            }),
        }
    }

    /// Gives this access to a copy, which so far nobody but its maker can use.
    ///
    /// # Errors
    /// When it cannot be given: then the copy stays closed.
    pub(crate) fn give(&self, copy: &File) -> io::Result<()> {
        let given = self.given(geteuid().is_root());
        let now = copy.metadata()?;
        let mut mode = given.mode;
        let owner = given.owner.filter(|owner| *owner != now.uid());
        let group = (self.group != now.gid()).then_some(self.group);
        if (owner.is_some() || group.is_some()) && fchown(copy, owner, group).is_err() {
            if geteuid().is_root() {
                fchown(copy, owner, group)?;
            }
            // A group that we are not in: its copy is of our own group, which may what everybody may.
            mode = mode & !GROUP_BITS | (mode & 0o007) << 3;
        }
        if let Some(list) = &self.list
            && fsetxattr(copy, LIST, list, XattrFlags::empty()).is_err()
        {
            // With a list, these bits are the most that anybody in it may, and not what the group may.
            mode &= !GROUP_BITS;
        }
        copy.set_permissions(Permissions::from_mode(mode))
    }

    /// Root keeps its copies where everybody may use them, so that nobody can change them; else whoever owns the source owns
    /// the copy, or could not use it.
    fn given(&self, is_root: bool) -> Given {
        let owner = (is_root && self.mode & OPEN != OPEN).then_some(self.owner);
        Given {
            owner,
            mode: self.mode & KEPT_BITS,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_copy_is_never_wider_than_its_source() {
        for (mode, by_root, by_others) in [
            (0o755, (None, 0o755), (None, 0o755)),
            (0o777, (None, 0o755), (None, 0o755)),
            (0o750, (Some(7), 0o750), (None, 0o750)),
            (0o770, (Some(7), 0o750), (None, 0o750)),
            (0o700, (Some(7), 0o700), (None, 0o700)),
            (0o555, (None, 0o555), (None, 0o555)),
            (0o751, (Some(7), 0o751), (None, 0o751)),
        ] {
            let access = Access {
                owner: 7,
                group: 8,
                mode,
                list: None,
            };
            for (is_root, (owner, expected)) in [(true, by_root), (false, by_others)] {
                let given = access.given(is_root);
                assert_eq!(given.owner, owner, "{mode:o}");
                assert_eq!(given.mode, expected, "{mode:o}");
                assert_eq!(given.mode & !mode, 0, "{mode:o}");
            }
        }
    }

    #[test]
    fn owner_group_and_mode_are_given() {
        let directory = tempfile::tempdir().unwrap();
        let (source, copy) = (directory.path().join("a"), directory.path().join("b"));
        for path in [&source, &copy] {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }
        fs::set_permissions(&source, Permissions::from_mode(0o4750)).unwrap();
        if geteuid().is_root() {
            std::os::unix::fs::chown(&source, Some(4242), Some(4243)).unwrap();
            fs::set_permissions(&source, Permissions::from_mode(0o4750)).unwrap();
        }
        let opened = File::open(&source).unwrap();
        let metadata = opened.metadata().unwrap();
        Access::of(&opened, &metadata)
            .give(&File::open(&copy).unwrap())
            .unwrap();
        let given = fs::metadata(&copy).unwrap();
        assert_eq!(given.mode() & 0o7777, 0o750);
        assert_eq!((given.uid(), given.gid()), (metadata.uid(), metadata.gid()));
    }
}
