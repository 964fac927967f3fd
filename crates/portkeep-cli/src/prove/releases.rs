//! Releases of an app that served during a run.

use portkeep_engine::{Digest, Generation, Store};
use portkeep_spec::Label;
use serde::Serialize;

/// A release that was current before the first reload, or after one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServedRelease {
    pub(crate) generation: Generation,
    pub(crate) digest: Option<Digest>,
    /// Its label.
    pub(crate) label: Option<Label>,
}

/// The releases in the order in which they served, each once.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    served: Vec<ServedRelease>,
}

impl Releases {
    /// Notes the current release.
    pub(crate) fn look(&mut self, app: Option<&Store>) {
        let Some((store, generation)) = app.and_then(|store| Some((store, store.current()?)))
        else {
            return;
        };
        let release = store.release_of(generation);
        self.note(ServedRelease {
            generation,
            digest: store.digest_of(generation),
            label: release.and_then(|release| release.label()),
        });
    }

    fn note(&mut self, one: ServedRelease) {
        if self.served.last() != Some(&one) {
            self.served.push(one);
        }
    }

    pub(crate) fn into_served(self) -> Vec<ServedRelease> {
        self.served
    }
}

/// `3 (v1) → 4 (v2)`; of many, the first and the last.
pub(crate) fn told(served: &[ServedRelease]) -> String {
    let one = |one: &ServedRelease| match &one.label {
        Some(label) => format!("{} ({label})", one.generation),
        None => one.generation.to_string(),
    };
    match served {
        [] => String::new(),
        [only] => one(only),
        [first, last] => format!("{} → {}", one(first), one(last)),
        [first, between @ .., last] => {
            format!("{} → {} more → {}", one(first), between.len(), one(last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(number: u64, label: Option<&str>) -> ServedRelease {
        ServedRelease {
            generation: Generation(number),
            digest: None,
            label: label.map(|label| label.parse().unwrap()),
        }
    }

    #[test]
    fn each_release_is_told_once_in_its_turn() {
        let mut releases = Releases::default();
        for one in [
            served(3, Some("v1")),
            served(3, Some("v1")),
            served(4, Some("v2")),
        ] {
            releases.note(one);
        }
        let found = releases.into_served();
        assert_eq!(told(&found), "3 (v1) → 4 (v2)");
        assert_eq!(told(&found[..1]), "3 (v1)");
        let many: Vec<_> = (1..=5).map(|number| served(number, None)).collect();
        assert_eq!(told(&many), "1 → 3 more → 5");
    }
}
