//! Files of a release besides its executable.
//!
//! They are found and captured by the rules of an executable: level by level and by descriptor from the directory that has
//! them, through no symbolic link, and root reads for nobody what everybody who has a say in where a file is could not read
//! himself. Links are brought as links, and only if they lead to another file of the release.
//!
//! A file is copied, sharing its blocks where the file system can (`FICLONE`). It is never one more name (a hard link) of the
//! project's own file: many programs rewrite a file in place, and would change what a release is made of. One that did not
//! change since an earlier release was captured becomes one more name of *that* copy, which nobody writes into.

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
    /// The directory that has them.
    pub(crate) directory: PathBuf,
    /// Whether none of them was so new that one more change might not have shown in its times.
    is_settled: bool,
}

impl ReleaseFiles {
    pub(super) fn new(directory: PathBuf, manifest: &Manifest) -> Self {
        Self {
            directory,
            is_settled: manifest.is_settled(),
        }
    }

    /// Whether the files are known to be what they were, if their states are the same.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Whether they are all there, and as they were captured.
    pub(crate) fn is_intact(&self) -> bool {
        Manifest::beside(&self.directory).is_some_and(|manifest| manifest.holds_in(&self.directory))
    }
}

/// The files of a kept release, with what is known of them.
pub(super) fn of_release(release: &Release) -> Option<(PathBuf, Manifest)> {
    let files = release.files()?;
    Some((files.to_owned(), Manifest::beside(files)?))
}

fn manifest_path(files: &Path) -> PathBuf {
    files.with_file_name(MANIFEST)
}
