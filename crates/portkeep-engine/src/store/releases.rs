//! The releases that are kept.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use portkeep_spec::AppName;

use super::{Store, atomic_write, gc_roots, write::beside};
use crate::release::{Digest, Release};

impl Store {
    pub(crate) fn releases_directory(&self) -> PathBuf {
        self.state.join("releases")
    }

    fn release_directory(&self, digest: &Digest) -> PathBuf {
        self.releases_directory().join(digest.as_str())
    }

    /// Where `portkeep dev` puts what was built and has passed its checks.
    #[must_use]
    pub fn published(&self, name: &AppName) -> PathBuf {
        self.published_directory().join(name.as_str())
    }

    fn published_directory(&self) -> PathBuf {
        self.state.join("build")
    }

    /// Whether a release may be one more name of this file instead of a copy, which takes half a second for a gigabyte. Where
    /// `portkeep dev` has put it as a name of cargo's output, it may: cargo removes that before it builds anew, so that nobody's
    /// other names change (rust-lang/cargo#8348).
    pub(crate) fn may_share(&self, source: &Path) -> bool {
        let published = fs::canonicalize(self.published_directory());
        published.is_ok_and(|published| source.starts_with(published))
            && fs::metadata(source).is_ok_and(|metadata| metadata.nlink() > 1)
    }

    /// Where an executable is put that becomes a release, or is found to be one that is kept. There is nothing yet.
    pub(crate) fn place_to_stage(&self) -> io::Result<PathBuf> {
        // It may have been removed since the store was opened.
        fs::create_dir_all(self.releases_directory())?;
        let staged = beside(&self.releases_directory().join("staged"));
        match fs::remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(staged),
        }
    }

    /// Moves a staged executable into its release's directory and answers where it is now.
    pub(crate) fn keep_executable(
        &self,
        staged: &Path,
        digest: &Digest,
        name: &OsStr,
    ) -> io::Result<PathBuf> {
        let directory = self.release_directory(digest);
        fs::create_dir_all(&directory)?;
        let kept = directory.join(name);
        if kept.exists() {
            // The same contents: leave the file that may be running.
            fs::remove_file(staged)?;
        } else {
            fs::rename(staged, &kept)?;
        }
        Ok(kept)
    }

    pub(crate) fn keep_release(&self, release: &Release) -> io::Result<()> {
        let directory = self.release_directory(&release.digest);
        if read_release(&directory).as_ref() == Some(release) {
            // Nothing to write: a kept release can be started from a disk that is full.
            return Ok(());
        }
        fs::create_dir_all(&directory)?;
        write_release(&directory, release)
    }

    /// A kept release, with its environment.
    #[must_use]
    pub fn release(&self, digest: &Digest) -> Option<Release> {
        read_release(&self.release_directory(digest))
    }

    /// Remembers that a release failed, and why, so that nothing starts it again by itself. The holding page is no release,
    /// and nothing that another start could be spared.
    ///
    /// # Errors
    /// When the file cannot be written, neither with the release nor until the next boot.
    pub fn mark_bad(&self, digest: &Digest, reason: &str) -> io::Result<()> {
        if digest.is_holding() {
            return Ok(());
        }
        let kept = self.bad_path(digest);
        let written = fs::create_dir_all(self.release_directory(digest))
            .and_then(|()| atomic_write(&kept, reason.as_bytes(), 0o600));
        // Without this, a full disk would have a release that crashes started again for ever.
        written.or_else(|_| atomic_write(&self.bad_until_reboot(digest), reason.as_bytes(), 0o600))
    }

    pub(super) fn unmark_bad(&self, digest: &Digest) -> io::Result<()> {
        for path in [self.bad_path(digest), self.bad_until_reboot(digest)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Why a release failed, if it did and has not been READY since.
    #[must_use]
    pub fn why_bad(&self, digest: &Digest) -> Option<String> {
        [self.bad_path(digest), self.bad_until_reboot(digest)]
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
    }

    fn bad_path(&self, digest: &Digest) -> PathBuf {
        self.release_directory(digest).join("bad")
    }

    fn bad_until_reboot(&self, digest: &Digest) -> PathBuf {
        self.run.join(format!("bad-{}", digest.as_str()))
    }

    /// Removes every release that `kept` does not name, and what a killed helper left half done; protects the others.
    pub(crate) fn prune_releases(&self, kept: &[Digest]) -> io::Result<()> {
        // Here and not before a start: Nix may want a while, and by now the new release serves.
        gc_roots::release_all_but(&self.state, kept)?;
        for release in kept.iter().filter_map(|digest| self.release(digest)) {
            gc_roots::protect(&self.state, &release);
        }
        for entry in fs::read_dir(self.releases_directory())? {
            let entry = entry?;
            if kept
                .iter()
                .any(|digest| entry.file_name() == OsStr::new(digest.as_str()))
            {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Writes a release into a directory.
pub(super) fn write_release(directory: &Path, release: &Release) -> io::Result<()> {
    // It may hold secrets.
    atomic_write(
        &directory.join("environment.json"),
        &serde_json::to_vec(release.environment())?,
        0o600,
    )?;
    atomic_write(
        &directory.join("release.json"),
        &serde_json::to_vec_pretty(release)?,
        0o644,
    )
}

/// The release that a directory holds, with its environment.
pub(super) fn read_release(directory: &Path) -> Option<Release> {
    let release: Release =
        serde_json::from_slice(&fs::read(directory.join("release.json")).ok()?).ok()?;
    let environment =
        serde_json::from_slice(&fs::read(directory.join("environment.json")).ok()?).ok()?;
    Some(release.with_environment(environment))
}
