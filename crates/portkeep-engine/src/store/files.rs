//! Files of releases.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use portkeep_spec::contract;

use super::write::PRIVATE;
use super::{Store, atomic_symlink, atomic_write};
use crate::capture::{MANIFEST, Manifest};
use crate::generation::Generation;
use crate::release::{Digest, Release};

/// File whose age is that of the last handover away from the release, in the release's directory.
const REPLACED: &str = "replaced";
/// Every app may read it.
const OPEN: u32 = 0o644;
/// Working directory of an app whose release has no files although others have some.
const NOWHERE: &str = "/";

impl Store {
    /// Moves staged files into their release's directory, and returns their place and their manifest. Files that are there
    /// already stay if they are unchanged, because somebody may be reading them.
    pub(crate) fn keep_files(
        &self,
        staged: &Path,
        digest: &Digest,
        manifest: Manifest,
    ) -> io::Result<(PathBuf, Manifest)> {
        let directory = self.make_release_directory(digest)?;
        let kept = directory.join(contract::FILES);
        let before = Manifest::beside(&kept).filter(|before| before.holds_in(&kept));
        let manifest = match before {
            Some(before) => manifest.with_copies_of(&before),
            None => {
                if kept.exists() {
                    // Removed with the staging directory.
                    fs::rename(&kept, staged.with_file_name("damaged"))?;
                }
                fs::rename(staged, &kept)?;
                manifest
            }
        };
        atomic_write(&directory.join(MANIFEST), &manifest.to_json()?, PRIVATE)?;
        Ok((kept, manifest))
    }

    /// Links a generation that is about to start to the files of its release, and updates the list of kept ones. A running
    /// generation sees the new files before a client can request them.
    pub(super) fn show_files(&self, generation: &Path, release: &Release) -> io::Result<()> {
        let files = release.files();
        atomic_symlink(
            files.unwrap_or(Path::new(NOWHERE)),
            &generation.join(contract::FILES),
        )?;
        let Some(files) = files else {
            return Ok(());
        };
        let mut list = format!("{}\n", files.display());
        for other in self.kept_files().iter().filter(|other| *other != files) {
            list.push_str(&format!("{}\n", other.display()));
        }
        atomic_write(&self.kept_files_path(), list.as_bytes(), OPEN)
    }

    pub(super) fn kept_files_path(&self) -> PathBuf {
        self.run_directory().join(contract::KEPT_FILES)
    }

    /// The directories with the files of all releases.
    fn kept_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.releases_directory()).into_iter();
        let files = entries.flatten().flatten();
        let files = files.map(|entry| entry.path().join(contract::FILES));
        let mut files: Vec<_> = files
            .filter(|files| files.with_file_name(MANIFEST).exists())
            .collect();
        files.sort_unstable();
        files
    }

    /// Records that another release has replaced the one that `generation` runs.
    pub(crate) fn note_replaced(&self, generation: Generation) -> io::Result<()> {
        let release = self.release_of(generation);
        let Some(files) = release.as_ref().and_then(Release::files) else {
            return Ok(());
        };
        atomic_write(&files.with_file_name(REPLACED), b"", PRIVATE)
    }

    /// Whether an open page may still request files of the release in `directory`.
    pub(super) fn files_are_wanted(&self, directory: &Path, keep: Duration) -> bool {
        let replaced = fs::metadata(directory.join(REPLACED)).and_then(|found| found.modified());
        replaced.is_ok_and(|at| is_within(at, SystemTime::now(), keep))
    }
}

/// If the clock was set back, the files stay longer.
fn is_within(replaced: SystemTime, now: SystemTime, keep: Duration) -> bool {
    now.duration_since(replaced).unwrap_or_default() < keep
}

/// Removes everything from a release's directory except its files, so that none of it can run any more.
pub(super) fn keep_only_files(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kept = [contract::FILES, MANIFEST, REPLACED];
        if kept.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}
