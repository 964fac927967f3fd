//! Another name of a release's executable, beside the file that the build made.
//!
//! In development an app runs where it was built: it may look for its files from there, as under `cargo run`. `portkeep dev` gives
//! each build's executable a name of its own there, which the next build does not take away. It is run by that name as long as that
//! leads to what was captured, and else by the kept one: so each generation runs its own release, also one that is rolled back to.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::contents;
use super::file_states::Identity;
use super::found_file::Opened;

/// A name beside the build's file, and what it led to when the release was captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Built {
    path: PathBuf,
    identity: Identity,
}

impl Built {
    /// The name `path`, if it leads to the contents of what was captured.
    pub(super) fn of(path: PathBuf, captured: &Opened, clock: Clock) -> Option<Self> {
        let found = fs::symlink_metadata(&path).ok()?;
        let identity = Identity::from(&found);
        let is_it = found.is_file()
            && (identity == Identity::from(&captured.metadata)
                || has_same_contents(&path, captured, clock).is_ok_and(|same| same));
        is_it.then_some(Self { path, identity })
    }

    /// Where it is run, as long as that is what was captured.
    pub(crate) fn path(&self) -> Option<&Path> {
        let now = fs::symlink_metadata(&self.path).ok()?;
        let is_it = now.is_file() && Identity::from(&now).has_contents_of(&self.identity);
        is_it.then_some(&self.path)
    }
}

/// On another file system it was copied.
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
