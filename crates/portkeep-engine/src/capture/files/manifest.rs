//! Manifest of captured files: an unchanged file is not read again, and a changed one no longer belongs to the release.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::lstat;
use serde::{Deserialize, Serialize};

use super::manifest_path;
use super::state::State;

/// The file of a manifest, beside the files.
pub(crate) const MANIFEST: &str = "files.json";

/// The regular files of a release, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest(BTreeMap<PathBuf, Captured>);

/// One captured file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Captured {
    /// The state of its source.
    pub(super) source: State,
    /// Whether another change of the source would have shown in its times.
    pub(super) is_settled: bool,
    /// The digest of its contents, keyed like that of the release.
    pub(super) contents: String,
    pub(super) copy: State,
}

impl Manifest {
    /// The manifest beside captured files.
    pub(crate) fn beside(files: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(manifest_path(files)).ok()?).ok()
    }

    pub(crate) fn to_json(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    pub(super) fn add(&mut self, path: PathBuf, captured: Captured) {
        self.0.insert(path, captured);
    }

    /// A captured file whose source had exactly this state, and had it for a while.
    pub(super) fn captured_from(&self, path: &Path, source: &State) -> Option<&Captured> {
        let captured = self.0.get(path)?;
        (captured.is_settled && captured.source == *source).then_some(captured)
    }

    pub(super) fn contents(&self, path: &Path) -> Option<&str> {
        self.0.get(path).map(|captured| captured.contents.as_str())
    }

    pub(super) fn is_settled(&self) -> bool {
        self.0.values().all(|captured| captured.is_settled)
    }

    /// Whether all copies exist, and nobody wrote to one.
    pub(crate) fn holds_in(&self, files: &Path) -> bool {
        let is_intact = |(path, captured): (&PathBuf, &Captured)| {
            let now = lstat(files.join(path)).map(|stat| State::of(&stat));
            now.is_ok_and(|now| now.has_contents_of(&captured.copy))
        };
        files.is_dir() && self.0.iter().all(is_intact)
    }

    /// The manifest for the kept copies of `other`, a release with the same digest.
    pub(crate) fn with_copies_of(mut self, other: &Self) -> Self {
        for (path, captured) in &mut self.0 {
            if let Some(kept) = other.0.get(path) {
                captured.copy = kept.copy;
            }
        }
        self
    }
}
