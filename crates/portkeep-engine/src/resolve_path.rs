//! Resolves a path level by level through descriptors: nothing is looked up twice, and each level tells its owner.

use std::ffi::{OsStr, OsString};
use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

/// The kernel's own limit of symbolic links.
const MOST_LINKS: u32 = 40;
/// A descriptor for questions only: it neither blocks on a FIFO nor wakes a device.
#[cfg(target_os = "linux")]
pub(crate) const LOOK: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
pub(crate) const LOOK: OFlags = OFlags::NONBLOCK;

/// One level of a resolved path.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) path: PathBuf,
    pub(crate) metadata: Metadata,
    /// For questions; it cannot be read.
    pub(crate) descriptor: File,
}

impl Level {
    pub(crate) fn kind(&self) -> FileType {
        self.metadata.file_type()
    }

    pub(crate) fn owner(&self) -> u32 {
        self.metadata.uid()
    }

    pub(crate) fn group(&self) -> u32 {
        self.metadata.gid()
    }

    /// Permission bits, with the sticky bit.
    pub(crate) fn mode(&self) -> u32 {
        self.metadata.mode() & 0o7777
    }
}

/// A path with all levels that it leads through.
#[derive(Debug)]
pub(crate) struct ResolvedPath {
    /// The directories and links on the way, in order. A directory is listed as often as the path goes through it.
    pub(crate) levels: Vec<Level>,
    /// What the path names, after all links.
    pub(crate) end: Level,
    /// The given path with the links of its directories resolved. Equal to the path of [`ResolvedPath::end`] unless the
    /// last component is a link.
    pub(crate) named: PathBuf,
}

/// Resolves `path`, and follows its links.
///
/// # Errors
/// The kernel's error for the first level that cannot be passed.
pub(crate) fn resolve_path(path: &Path) -> io::Result<ResolvedPath> {
    let mut pending = Vec::new();
    push(&mut pending, &std::path::absolute(path)?);
    let mut levels = vec![level(CWD, OsStr::new("/"), PathBuf::from("/"))?];
    // Indices of the directories above the present one: `..` returns along them.
    let mut here = vec![0];
    let mut named = None;
    let mut links = 0;
    let mut end = None;
    while let Some(component) = pending.pop() {
        if component == ".." {
            if here.len() > 1 {
                here.pop();
            }
            continue;
        }
        let directory = &levels[here[here.len() - 1]];
        let path = directory.path.join(&component);
        let found = level(&directory.descriptor, &component, path)?;
        let kind = found.kind();
        if kind.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            if pending.is_empty() {
                named.get_or_insert_with(|| found.path.clone());
            }
            let target = readlinkat(&found.descriptor, "", Vec::new())?.into_bytes();
            let target = PathBuf::from(OsString::from_vec(target));
            if target.is_absolute() {
                here.truncate(1);
            }
            push(&mut pending, &target);
            levels.push(found);
        } else if kind.is_dir() {
            here.push(levels.len());
            levels.push(found);
        } else if pending.is_empty() {
            end = Some(found);
        } else {
            return Err(Errno::NOTDIR.into());
        }
    }
    // If the end is a directory, it is no longer a level on the way.
    let end = end.unwrap_or_else(|| levels.remove(here[here.len() - 1]));
    let named = named.unwrap_or_else(|| end.path.clone());
    Ok(ResolvedPath { levels, end, named })
}

fn push(pending: &mut Vec<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => pending.push(name.to_owned()),
            Component::ParentDir => pending.push("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

fn level(directory: impl AsFd, name: &OsStr, path: PathBuf) -> io::Result<Level> {
    let flags = LOOK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = directory.as_fd();
    // Tried as a directory first: without this flag the kernel does not trigger an automount.
    let descriptor = openat(directory, name, flags | OFlags::DIRECTORY, Mode::empty())
        .or_else(|_| openat(directory, name, flags, Mode::empty()))?;
    let descriptor = File::from(descriptor);
    Ok(Level {
        path,
        metadata: descriptor.metadata()?,
        descriptor,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_and_dots_are_followed_as_the_kernel_does() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/bin")).unwrap();
        fs::write(root.join("real/bin/python3.11"), "x").unwrap();
        symlink("python3.11", root.join("real/bin/python3")).unwrap();
        symlink(root.join("real"), root.join("current")).unwrap();
        fs::create_dir(root.join("venv")).unwrap();
        symlink("../current/bin/python3", root.join("venv/python")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let real = root.join("real/bin/python3.11");
        for (path, named) in [
            ("real/bin/python3.11", "real/bin/python3.11"),
            ("current/bin/python3.11", "real/bin/python3.11"),
            ("current/bin/python3", "real/bin/python3"),
            ("venv/python", "venv/python"),
            ("venv/./../venv/python", "venv/python"),
        ] {
            let resolved = resolve_path(&root.join(path)).unwrap();
            assert_eq!(resolved.end.path, real, "{path}");
            assert_eq!(resolved.named, root.join(named), "{path}");
            assert_eq!(resolved.end.path, root.join(path).canonicalize().unwrap());
        }
        let links = |path: &str| {
            let resolved = resolve_path(&root.join(path)).unwrap();
            let links = resolved
                .levels
                .iter()
                .filter(|level| level.kind().is_symlink());
            links.map(|level| level.path.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            links("venv/python"),
            ["venv/python", "current", "real/bin/python3"].map(|path| root.join(path))
        );
        assert!(links("real/bin/python3.11").is_empty());
        for (path, error) in [
            ("loop", Errno::LOOP),
            ("none/x", Errno::NOENT),
            ("real/bin/python3/x", Errno::NOTDIR),
        ] {
            let resolved = resolve_path(&root.join(path)).unwrap_err();
            assert_eq!(
                resolved.raw_os_error(),
                Some(error.raw_os_error()),
                "{path}"
            );
        }
        let resolved = resolve_path(&root.join("current")).unwrap();
        assert_eq!(resolved.end.path, root.join("real"));
        assert!(
            resolved
                .levels
                .iter()
                .all(|level| level.path != root.join("real"))
        );
    }
}
