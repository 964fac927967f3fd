//! Kept releases.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_spec::AppName;
use tempfile::{Builder, TempDir};

use super::files::keep_only_files;
use super::write::{PRIVATE, prefix};
use super::{Store, atomic_write, gc_roots};
use crate::capture::Access;
use crate::directories::{CLOSED, TRAVERSED, make};
use crate::release::{Digest, Release};

impl Store {
    pub(crate) fn releases_directory(&self) -> PathBuf {
        self.state.join("releases")
    }

    pub(super) fn release_directory(&self, digest: &Digest) -> PathBuf {
        self.releases_directory().join(digest.as_str())
    }

    /// The path where `portkeep dev` publishes a build that has passed its checks.
    #[must_use]
    pub fn published(&self, name: &AppName) -> PathBuf {
        self.published_directory().join(name.as_str())
    }

    /// Symbolic link to the name beside that build, which no build removes.
    #[must_use]
    pub fn published_from(&self, name: &AppName) -> PathBuf {
        self.published_directory().join(format!("{name}.built"))
    }

    /// The name beside the build of what is published at `source`, if it is known.
    pub(crate) fn built(&self, source: &Path) -> Option<PathBuf> {
        let name = source.file_name()?.to_str()?.parse().ok()?;
        let is_published = fs::canonicalize(self.published(&name)).ok()? == source;
        is_published.then(|| fs::read_link(self.published_from(&name)).ok())?
    }

    fn published_directory(&self) -> PathBuf {
        self.state.join("build")
    }

    /// Whether a release may be another name of this file instead of a copy, which takes half a second for a gigabyte. If
    /// `portkeep dev` has published it as a name of cargo's output, it may: cargo removes its output before it builds
    /// again, so that other names do not change (rust-lang/cargo#8348).
    pub(crate) fn may_share(&self, source: &Path, metadata: &fs::Metadata) -> bool {
        let published = fs::canonicalize(self.published_directory());
        published.is_ok_and(|published| source.starts_with(published)) && metadata.nlink() > 1
    }

    /// A closed directory for a new release, which may turn out to be a kept one. It is removed with its remaining
    /// contents.
    pub(crate) fn stage(&self) -> io::Result<TempDir> {
        // It may have been removed since the store was opened.
        self.ensure_state()?;
        let place = self.releases_directory().join("staged");
        Builder::new()
            .prefix(&prefix(&place))
            .permissions(Permissions::from_mode(CLOSED))
            .tempdir_in(self.releases_directory())
    }

    /// Moves a staged executable into its release's directory and returns its path. An existing one has the same contents
    /// and may be running: it gets `access` instead.
    pub(crate) fn keep_executable(
        &self,
        staged: &Path,
        digest: &Digest,
        name: &OsStr,
        access: &Access,
    ) -> io::Result<PathBuf> {
        let kept = self.make_release_directory(digest)?.join(name);
        if kept.exists() {
            access.give(&File::open(&kept)?)?;
        } else {
            fs::rename(staged, &kept)?;
        }
        Ok(kept)
    }

    pub(crate) fn keep_release(&self, release: &Release) -> io::Result<()> {
        let directory = self.release_directory(&release.digest);
        if read_release(&directory).as_ref() == Some(release) {
            // Nothing to write: a kept release can be started from a full disk.
            return Ok(());
        }
        self.make_release_directory(&release.digest)?;
        write_release(&directory, release)
    }

    /// Gives the app access to the executable of a release that is about to start.
    pub(super) fn open_release(&self, digest: &Digest) -> io::Result<()> {
        make(&self.release_directory(digest), TRAVERSED)
    }

    /// Closed as long as nothing runs from it.
    pub(super) fn make_release_directory(&self, digest: &Digest) -> io::Result<PathBuf> {
        let directory = self.release_directory(digest);
        if !directory.exists() {
            self.ensure_state()?;
            make(&directory, CLOSED)?;
        }
        Ok(directory)
    }

    /// A kept release, with its environment.
    #[must_use]
    pub fn release(&self, digest: &Digest) -> Option<Release> {
        read_release(&self.release_directory(digest))
    }

    /// Marks a release as bad, with the reason, so that nothing starts it again by itself. The holding page is no release,
    /// and is never marked.
    ///
    /// # Errors
    /// When the file cannot be written, neither with the release nor until the next boot.
    pub fn mark_bad(&self, digest: &Digest, reason: &str) -> io::Result<()> {
        if digest.is_holding_page() {
            return Ok(());
        }
        let kept = self.bad_path(digest);
        let written = self
            .make_release_directory(digest)
            .and_then(|_| atomic_write(&kept, reason.as_bytes(), PRIVATE));
        // Without this, a full disk would have a crashing release started again for ever.
        written
            .or_else(|_| atomic_write(&self.bad_until_reboot(digest), reason.as_bytes(), PRIVATE))
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

    /// Removes every release that `kept` does not name, except for its files if it was replaced less than `keep_files` ago;
    /// and leftovers of a killed helper. Protects the others, and closes those that are bad and not `running`.
    pub(crate) fn prune_releases(
        &self,
        kept: &[Digest],
        running: &[Digest],
        keep_files: Duration,
    ) -> io::Result<()> {
        // Here and not before a start: Nix may need a while, and by now the new release serves.
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
            if self.files_are_wanted(&entry.path(), keep_files) {
                keep_only_files(&entry.path())?;
            } else if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        for digest in kept {
            let directory = self.release_directory(digest);
            let is_needed =
                running.contains(digest) || self.files_are_wanted(&directory, keep_files);
            if !is_needed && self.why_bad(digest).is_some() && directory.exists() {
                make(&directory, CLOSED)?;
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
        PRIVATE,
    )?;
    atomic_write(
        &directory.join("release.json"),
        &serde_json::to_vec_pretty(release)?,
        PRIVATE,
    )
}

/// The release in a directory, with its environment.
pub(super) fn read_release(directory: &Path) -> Option<Release> {
    let release: Release =
        serde_json::from_slice(&fs::read(directory.join("release.json")).ok()?).ok()?;
    let environment =
        serde_json::from_slice(&fs::read(directory.join("environment.json")).ok()?).ok()?;
    Some(release.with_environment(environment))
}
