//! Finds the kept release that a person names.

use super::Store;
use crate::generation::Generation;
use crate::release::Digest;

/// Why there is no release to roll back to. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackError {
    /// There is no other release.
    #[error(
        "no other release is kept: a release is kept once it was READY, and `keepGenerations` in the spec says how many"
    )]
    NoOther,
    /// That generation never served, or so long ago that it is unknown.
    #[error("nothing is known of a generation {generation} that served; {}", can(.kept))]
    Unknown {
        /// The requested generation.
        generation: Generation,
        /// The releases to choose from.
        kept: Vec<(Generation, Digest)>,
    },
    /// Its release was removed.
    #[error(
        "release {digest} of generation {generation} is gone: only the newest are kept (`keepGenerations` in the spec); {}", can(.kept)
    )]
    Gone {
        /// The requested generation.
        generation: Generation,
        /// Its release.
        digest: Digest,
        /// The releases to choose from.
        kept: Vec<(Generation, Digest)>,
    },
}

fn can(kept: &[(Generation, Digest)]) -> String {
    if kept.is_empty() {
        return "no other release is kept".to_owned();
    }
    let listed: Vec<_> = kept
        .iter()
        .map(|(generation, digest)| format!("{generation} ({digest})"))
        .collect();
    format!("kept are those of generations {}", listed.join(", "))
}

/// Beginning of the reason with which a rolled back release is bad.
pub(crate) const ROLLED_BACK: &str = "it was rolled back to";

impl Store {
    /// The release that `generation` ran, or the newest good one that is not current.
    ///
    /// # Errors
    /// When it is not kept; the message says what is.
    pub fn rollback_target(&self, generation: Option<Generation>) -> Result<Digest, RollbackError> {
        let current = self
            .current()
            .and_then(|generation| self.release_of(generation))
            .map(|release| release.digest);
        let Some(generation) = generation else {
            return self.before(current.as_ref()).ok_or(RollbackError::NoOther);
        };
        let served = self.served();
        let digest = served
            .iter()
            .find(|(served, _)| *served == generation)
            .map(|(_, digest)| digest.clone());
        let mut kept: Vec<(Generation, Digest)> = Vec::new();
        for (served, digest) in served {
            let is_new = kept.iter().all(|(_, other)| *other != digest);
            if is_new && self.is_kept(&digest) {
                kept.push((served, digest));
            }
        }
        match digest {
            None => Err(RollbackError::Unknown { generation, kept }),
            Some(digest) if self.is_kept(&digest) => Ok(digest),
            Some(digest) => Err(RollbackError::Gone {
                generation,
                digest,
                kept,
            }),
        }
    }

    /// Generations that served, with their releases, newest first.
    fn served(&self) -> Vec<(Generation, Digest)> {
        let history = self.history().unwrap_or_default();
        let served = history.into_iter().rev().filter_map(|record| {
            record
                .result
                .serves()
                .then_some((record.generation?, record.digest?))
        });
        served.collect()
    }

    pub(super) fn is_kept(&self, digest: &Digest) -> bool {
        self.release(digest)
            .is_some_and(|release| release.is_intact())
    }
}
