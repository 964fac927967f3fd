//! Access to a copy: a user who may not use its source may not use the copy.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};
use rustix::process::geteuid;

const GROUP_BITS: u32 = 0o070;
/// Bits with which one of our directories can be removed again.
const OWNER_BITS: u32 = 0o700;
/// The attribute with a file's access list on Linux.
const LIST: &str = "system.posix_acl_access";
/// The longest list.
const LONGEST_LIST: usize = 64 << 10;

/// The use of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// To be executed.
    Program,
    /// To be read, and never written.
    File,
    /// To contain files.
    Directory,
}

impl For {
    /// The bits that a copy keeps: only its owner may write to it, and it gives nobody its owner's rights.
    fn kept(self) -> u32 {
        match self {
            Self::Program => 0o755,
            Self::File | Self::Directory => 0o555,
        }
    }

    /// The bits that everybody must have to use the copy.
    fn needed(self) -> u32 {
        match self {
            Self::Program | Self::Directory => 0o005,
            Self::File => 0o004,
        }
    }
}

/// Who may do what with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    owner: u32,
    group: u32,
    mode: u32,
    list: Option<Vec<u8>>,
}

fn list_of(file: &File) -> Option<Vec<u8>> {
    // No list, or a file system without lists: most files.
    let nothing: &mut [u8] = &mut [];
    fgetxattr(file, LIST, nothing)
        .ok()
        .filter(|length| *length > 0)?;
    let mut list = vec![0; LONGEST_LIST];
    let length = fgetxattr(file, LIST, &mut list[..]).ok()?;
    list.truncate(length);
    Some(list)
}

/// Access to a copy.
#[derive(Debug, PartialEq, Eq)]
struct CopyAccess {
    /// None: the copy keeps its maker as the owner.
    owner: Option<u32>,
    mode: u32,
}

impl Access {
    pub(super) fn of(file: &File, metadata: &Metadata) -> Self {
        Self {
            owner: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode() & 0o777,
            list: list_of(file),
        }
    }

    /// Whether everybody may use it.
    pub(super) fn is_open(&self, what: For) -> bool {
        self.mode & what.needed() == what.needed() && self.list.is_none()
    }

    /// Adds the access to a file's copy to `hasher`: if everybody may use it, its owner does not matter.
    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&(self.mode & 0o555).to_le_bytes());
        if !self.is_open(For::File) {
            hasher.update(&self.owner.to_le_bytes());
            hasher.update(&self.group.to_le_bytes());
            let list = self.list.as_deref().unwrap_or_default();
            hasher.update(&(list.len() as u64).to_le_bytes());
            hasher.update(list);
        }
    }

    /// Gives this access to a program's copy, which only its maker can use so far.
    ///
    /// # Errors
    /// When it cannot be given: then the copy stays closed.
    pub(crate) fn give(&self, copy: &File) -> io::Result<()> {
        self.give_for(For::Program, copy)
    }

    /// The same for any copy.
    ///
    /// # Errors
    /// When it cannot be given: then the copy stays closed.
    pub(super) fn give_for(&self, what: For, copy: &File) -> io::Result<()> {
        let mut given = self.given(what, geteuid().is_root());
        if what == For::Directory && !geteuid().is_root() {
            // Otherwise the files in it could not be removed.
            given.mode |= OWNER_BITS;
        }
        let now = copy.metadata()?;
        let mut mode = given.mode;
        let owner = given.owner.filter(|owner| *owner != now.uid());
        let group = (self.group != now.gid()).then_some(self.group);
        if (owner.is_some() || group.is_some()) && fchown(copy, owner, group).is_err() {
            if geteuid().is_root() {
                fchown(copy, owner, group)?;
            }
            // A group without us: its copy has our own group, which may do what everybody may.
            mode = mode & !GROUP_BITS | (mode & 0o007) << 3;
        }
        if let Some(list) = &self.list
            && fsetxattr(copy, LIST, list, XattrFlags::empty()).is_err()
        {
            // With a list, these bits are the most that anybody in it may do, and not what the group may.
            mode &= !GROUP_BITS;
        }
        copy.set_permissions(Permissions::from_mode(mode))
    }

    /// If everybody may use a copy, root owns it, so that nobody can change it; otherwise the owner of the source owns the
    /// copy, who could not use it otherwise.
    fn given(&self, what: For, is_root: bool) -> CopyAccess {
        let is_open = self.mode & what.needed() == what.needed();
        CopyAccess {
            owner: (is_root && !is_open).then_some(self.owner),
            mode: self.mode & what.kept(),
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
                let given = access.given(For::Program, is_root);
                assert_eq!(given.owner, owner, "{mode:o}");
                assert_eq!(given.mode, expected, "{mode:o}");
                assert_eq!(given.mode & !mode, 0, "{mode:o}");
            }
        }
    }

    #[test]
    fn a_copy_that_everybody_may_read_is_roots_and_nobody_writes_into_it() {
        for (what, mode, owner, expected) in [
            (For::File, 0o644, None, 0o444),
            (For::File, 0o666, None, 0o444),
            (For::File, 0o755, None, 0o555),
            (For::File, 0o640, Some(7), 0o440),
            (For::File, 0o600, Some(7), 0o400),
            (For::Directory, 0o755, None, 0o555),
            (For::Directory, 0o777, None, 0o555),
            (For::Directory, 0o711, Some(7), 0o511),
            (For::Directory, 0o750, Some(7), 0o550),
        ] {
            let access = Access {
                owner: 7,
                group: 8,
                mode,
                list: None,
            };
            let given = access.given(what, true);
            let expected = CopyAccess {
                owner,
                mode: expected,
            };
            assert_eq!(given, expected, "{what:?} {mode:o}");
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
