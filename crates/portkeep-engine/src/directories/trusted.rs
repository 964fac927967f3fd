//! Checks whether only we can change what is at a directory: each level of its path, from the root down.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::resolve_path::resolve_path;
use crate::user::{is_outside, is_private_group, name_of};

const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Why a directory is not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// Another user owns it.
    #[error(
        "{path} belongs to {owner}, and {me} keeps nothing below it: whoever owns it could replace it; \
         `chown` it, or choose another directory (HOME, XDG_RUNTIME_DIR)"
    )]
    Owner {
        /// The directory or symbolic link.
        path: PathBuf,
        /// Its owner.
        owner: String,
        /// The current user.
        me: String,
    },
    /// Other users may write to it.
    #[error(
        "{path} can be written by {writers} (mode {mode:04o}): they could replace what is below it; \
         `chmod go-w {path}`"
    )]
    Writable {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its group, or everybody.
        writers: &'static str,
    },
    /// It cannot be looked at.
    #[error("cannot look at {path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl From<Untrusted> for io::Error {
    fn from(untrusted: Untrusted) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, untrusted)
    }
}

/// Facts about one level of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fact {
    path: PathBuf,
    is_link: bool,
    owner: Owner,
    mode: u32,
    group_is_private: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Root,
    Us,
    Other(u32),
}

/// Trusts `directory` if only root and the current user can put anything in its place. Root trusts only root.
///
/// # Errors
/// The first level that is not to be trusted, with the remedy.
pub fn check(directory: &Path) -> Result<(), Untrusted> {
    check_for(directory, geteuid().as_raw())
}

/// The same for another user: only root and `user` may be able to put anything in its place.
///
/// # Errors
/// The first level that is not to be trusted, with the remedy.
pub(crate) fn check_for(directory: &Path, user: u32) -> Result<(), Untrusted> {
    let walked = resolve_path(directory).map_err(|source| Untrusted::Io {
        path: directory.to_owned(),
        source,
    })?;
    let me = user;
    for level in walked.levels.iter().chain([&walked.end]) {
        let owner = match level.owner() {
            0 => Owner::Root,
            owner if owner == me => Owner::Us,
            // The creator of the user namespace could do anything anyway.
            owner if is_outside(owner) => Owner::Root,
            owner => Owner::Other(owner),
        };
        let fact = Fact {
            path: level.path.clone(),
            is_link: level.kind().is_symlink(),
            owner,
            mode: level.mode(),
            group_is_private: level.mode() & GROUP_WRITES != 0 && is_private_group(level.group()),
        };
        judge(fact, me)?;
    }
    Ok(())
}

fn judge(level: Fact, me: u32) -> Result<(), Untrusted> {
    if let Owner::Other(owner) = level.owner {
        return Err(Untrusted::Owner {
            path: level.path,
            owner: name_of(owner),
            me: name_of(me),
        });
    }
    // The mode of a link means nothing. In a sticky directory only the owner can replace an entry: that is the next level.
    if level.is_link || level.mode & STICKY != 0 {
        return Ok(());
    }
    let writers = if level.mode & OTHERS_WRITE != 0 {
        "everybody"
    } else if level.mode & GROUP_WRITES != 0 && !level.group_is_private {
        "its group"
    } else {
        return Ok(());
    };
    Err(Untrusted::Writable {
        path: level.path,
        mode: level.mode,
        writers,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn each_kind_of_level_is_judged() {
        let fact = |owner, mode, is_link, group_is_private| Fact {
            path: "/x".into(),
            is_link,
            owner,
            mode,
            group_is_private,
        };
        let (root, us, other) = (Owner::Root, Owner::Us, Owner::Other(1234));
        for (level, trusted) in [
            (fact(root, 0o755, false, false), true),
            (fact(us, 0o700, false, false), true),
            (fact(us, 0o711, false, false), true),
            (fact(other, 0o755, false, false), false),
            (fact(other, 0o700, false, false), false),
            // /tmp, and a directory of ours of the same kind.
            (fact(root, 0o1777, false, false), true),
            (fact(us, 0o1777, false, false), true),
            (fact(other, 0o1777, false, false), false),
            (fact(root, 0o777, false, false), false),
            (fact(root, 0o775, false, false), false),
            (fact(us, 0o775, false, false), false),
            (fact(us, 0o775, false, true), true),
            (fact(us, 0o777, false, true), false),
            (fact(us, 0o2755, false, false), true),
            (fact(root, 0o777, true, false), true),
            (fact(us, 0o777, true, false), true),
            (fact(other, 0o777, true, false), false),
        ] {
            assert_eq!(judge(level.clone(), 7).is_ok(), trusted, "{level:?}");
        }
    }

    #[test]
    fn a_level_in_between_counts_as_the_last_one_does() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        symlink("a/b", root.join("link")).unwrap();
        assert!(check(&root.join("link/c")).is_ok());
        fs::set_permissions(root.join("a"), PermissionsExt::from_mode(0o777)).unwrap();
        let untrusted = check(&root.join("link/c")).unwrap_err();
        assert!(matches!(untrusted, Untrusted::Writable { path, .. } if path == root.join("a")));
        if geteuid().is_root() {
            fs::set_permissions(root.join("a"), PermissionsExt::from_mode(0o755)).unwrap();
            chown(root.join("a/b"), Some(4242), None).unwrap();
            let untrusted = check(&root.join("link/c")).unwrap_err();
            let said = untrusted.to_string();
            let path = root.join("a/b");
            assert!(
                said.starts_with(&format!("{} belongs to user 4242", path.display())),
                "{said}"
            );
            chown(root.join("a/b"), Some(0), None).unwrap();
            std::os::unix::fs::lchown(root.join("link"), Some(4242), None).unwrap();
            assert!(check(&root.join("link/c")).is_err());
            assert!(check(&root.join("a/b/c")).is_ok());
        }
    }
}
