//! The ways in which builds appear on a disk.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::stamp::{Behaviour, stamp};

/// How a new build takes the place of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// Written beside it, then renamed over it.
    Rename,
    /// As cargo does: the old file is unlinked, then the new one hard-linked from `deps/`.
    HardLink,
    /// As Nix does: `result` is a symlink to a directory, and is replaced.
    ResultLink,
}

impl Publish {
    /// The executable below an app's directory.
    #[must_use]
    pub fn executable(self) -> &'static str {
        match self {
            Self::Rename | Self::HardLink => "target/debug/app",
            Self::ResultLink => "result/bin/app",
        }
    }

    /// What a spec watches, below an app's directory.
    #[must_use]
    pub fn watched(self) -> &'static str {
        match self {
            Self::Rename | Self::HardLink => "target/debug/app",
            Self::ResultLink => "result",
        }
    }

    /// Makes a build that behaves as told, in an app's directory.
    ///
    /// # Errors
    /// A file operation failed.
    pub fn publish(self, probe: &Path, directory: &Path, behaviour: &Behaviour) -> io::Result<()> {
        let target = directory.join(self.executable());
        match self {
            Self::Rename => {
                let next = directory.join("target/app.next");
                create_parent(&target)?;
                stamp(probe, &next, behaviour)?;
                fs::rename(next, target)
            }
            Self::HardLink => {
                let build = directory.join("target/debug/deps/app-0123456789abcdef");
                create_parent(&build)?;
                remove_if_there(&build)?;
                stamp(probe, &build, behaviour)?;
                remove_if_there(&target)?;
                fs::hard_link(build, target)
            }
            Self::ResultLink => {
                let output = PathBuf::from("store").join(&behaviour.version);
                let executable = directory.join(&output).join("bin/app");
                create_parent(&executable)?;
                stamp(probe, &executable, behaviour)?;
                let next = directory.join("store/result.next");
                symlink(directory.join(output), &next)?;
                fs::rename(next, directory.join("result"))
            }
        }
    }
}

fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_replaces_the_build_before() {
        for way in [Publish::Rename, Publish::HardLink, Publish::ResultLink] {
            let directory = tempfile::tempdir().unwrap();
            let probe = directory.path().join("probe");
            fs::write(&probe, b"program").unwrap();
            for version in ["v1", "v2"] {
                way.publish(&probe, directory.path(), &Behaviour::version(version))
                    .unwrap();
                let built = Behaviour::read(&directory.path().join(way.executable())).unwrap();
                assert_eq!(built.version, version, "{way:?}");
            }
        }
    }
}
