//! Another name of a release's executable, beside the build's file.
//!
//! In development an app runs where it was built: it may look for files there, as under `cargo run`. `portkeep dev` gives
//! each build's executable a name of its own there, which the next build does not remove. The app runs by that name as long
//! as it leads to the captured file, and otherwise by the kept one: so each generation runs its own release, even after a
//! roll back.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::contents;
use super::file_states::Identity;
use super::found_file::Opened;

/// A name beside the build's file, and the file that it led to when the release was captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Built {
    path: PathBuf,
    identity: Identity,
}

impl Built {
    /// The name `path`, if it leads to the captured contents.
    pub(super) fn of(path: PathBuf, captured: &Opened, clock: Clock) -> Option<Self> {
        let found = fs::symlink_metadata(&path).ok()?;
        let identity = Identity::from(&found);
        let is_it = found.is_file()
            && (identity == Identity::from(&captured.metadata)
                || has_same_contents(&path, captured, clock).is_ok_and(|same| same));
        is_it.then_some(Self { path, identity })
    }

    /// The path to run, as long as it leads to the captured file.
    pub(crate) fn path(&self) -> Option<&Path> {
        let now = fs::symlink_metadata(&self.path).ok()?;
        let is_it = now.is_file() && Identity::from(&now).has_contents_of(&self.identity);
        is_it.then_some(&self.path)
    }
}

/// It was copied to another file system.
fn has_same_contents(path: &Path, captured: &Opened, clock: Clock) -> io::Result<bool> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size != captured.metadata.len() {
        return Ok(false);
    }
    let digest = |file| {
        let mut hasher = blake3::Hasher::new();
        contents::digest(file, size, clock, &mut hasher)?;
        io::Result::Ok(hasher.finalize())
    };
    Ok(digest(&file)? == digest(&captured.file)?)
}
