//! Releases that were READY, newest last. A failed start falls back to them, also after a reboot.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Store, atomic_write, write::PRIVATE};
use crate::release::{Digest, Release};

/// Number of remembered digests; far fewer releases are kept.
const REMEMBERED: usize = 64;

impl Store {
    fn good_path(&self) -> PathBuf {
        self.state.join("good.json")
    }

    /// Digests of releases that were READY, newest first.
    fn good(&self) -> Vec<Digest> {
        let text = fs::read(self.good_path()).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Records that a release was READY: it is the newest good one, even if it was bad before.
    pub(crate) fn mark_good(&self, digest: &Digest) -> io::Result<()> {
        let mut good = self.good();
        good.retain(|one| one != digest);
        good.insert(0, digest.clone());
        good.truncate(REMEMBERED);
        atomic_write(&self.good_path(), &serde_json::to_vec(&good)?, PRIVATE)?;
        self.unmark_bad(digest)
    }

    /// The releases for a fallback, newest first.
    fn usable(&self) -> impl Iterator<Item = Release> + '_ {
        self.good()
            .into_iter()
            .filter(|digest| self.why_bad(digest).is_none())
            .filter_map(|digest| self.release(&digest))
            .filter(|release| release.is_intact())
    }

    /// The newest release that was READY, has not failed since, and is not `other_than`.
    #[must_use]
    pub fn last_good(&self, other_than: Option<&Digest>) -> Option<Release> {
        self.usable()
            .find(|release| Some(&release.digest) != other_than)
    }

    /// The newest release for a manual roll back: one that was READY and is not `current`. A bad one only if there is no
    /// other.
    pub(super) fn before(&self, current: Option<&Digest>) -> Option<Digest> {
        let kept = |digest: &Digest| Some(digest) != current && self.is_kept(digest);
        self.last_good(current)
            .map(|release| release.digest)
            .or_else(|| self.good().into_iter().find(kept))
    }

    /// The newest `keep` releases for a fallback, and newer ones that failed since: removing those would remove the mark
    /// that prevents their start.
    pub(super) fn newest_good(&self, keep: usize) -> Vec<Digest> {
        let usable = self.usable().take(keep).map(|release| release.digest);
        usable.chain(self.good().into_iter().take(keep)).collect()
    }
}
