//! Files of a release besides its executable.
//!
//! They are found and captured by the rules for an executable: level by level and by descriptor from their directory,
//! through no symbolic link, and root reads for nobody a file that each user who controls its place could not read. Links
//! are captured as links, and only if they lead to another file of the release.
//!
//! A file is copied, sharing its blocks if the file system can (`FICLONE`). It is never another name (a hard link) of the
//! project's own file: many programs rewrite a file in place, which would change the release. A file that has not changed
//! since an earlier release becomes another name of *that* copy, which nobody writes to.

mod capture;
mod error;
mod find;
mod links;
mod manifest;
mod patterns;
mod place;
mod state;

pub(super) use capture::FilesContext;
pub use error::FilesError;
pub(super) use find::Tree;
pub(crate) use manifest::{MANIFEST, Manifest};

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::release::Release;

/// The captured files of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReleaseFiles {
    /// Their directory.
    pub(crate) directory: PathBuf,
    /// Whether none of them was so new that another change might not show in its times.
    is_settled: bool,
}

impl ReleaseFiles {
    pub(super) fn new(directory: PathBuf, manifest: &Manifest) -> Self {
        Self {
            directory,
            is_settled: manifest.is_settled(),
        }
    }

    /// Whether equal states mean that the files have not changed.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Whether all of them exist as they were captured.
    pub(crate) fn is_intact(&self) -> bool {
        Manifest::beside(&self.directory).is_some_and(|manifest| manifest.holds_in(&self.directory))
    }
}

/// The files of a kept release, with their manifest.
pub(super) fn of_release(release: &Release) -> Option<(PathBuf, Manifest)> {
    let files = release.files()?;
    Some((files.to_owned(), Manifest::beside(files)?))
}

fn manifest_path(files: &Path) -> PathBuf {
    files.with_file_name(MANIFEST)
}
