//! Files that each round changes by itself. Pure.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A person who edits a file during builds stops at some time; a build that writes it does not.
pub(super) const MOST: usize = 5;

/// Counts the rounds in a row in which a file changed, from the start of the build to the end of the handover.
#[derive(Debug, Default)]
pub(super) struct RewrittenFiles {
    rounds: HashMap<PathBuf, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Number of rounds in a row.
    times: usize,
    /// Whether it changed in the current round.
    now: bool,
}

impl RewrittenFiles {
    /// A round begins.
    pub(super) fn begin(&mut self) {
        self.rounds.retain(|_, seen| std::mem::take(&mut seen.now));
    }

    /// Takes the changes of a round. Returns the files that have just reached the limit.
    pub(super) fn changed<'a>(
        &mut self,
        paths: impl IntoIterator<Item = &'a Path>,
    ) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for path in paths {
            let seen = self.rounds.entry(path.to_owned()).or_default();
            if !std::mem::replace(&mut seen.now, true) {
                seen.times += 1;
                if seen.times == MOST {
                    found.push(path.to_owned());
                }
            }
        }
        found
    }

    /// Whether the file changes in every round.
    pub(super) fn is(&self, path: &Path) -> bool {
        self.rounds.get(path).is_some_and(|seen| seen.times >= MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_in_every_round_is_told_once() {
        let mut rewritten_files = RewrittenFiles::default();
        let written = [Path::new("/p/gen.rs")];
        let mut told = 0;
        for _ in 0..10 {
            rewritten_files.begin();
            told += rewritten_files.changed(written).len();
            // A file that is written in two steps changed once.
            told += rewritten_files.changed(written).len();
        }
        assert_eq!(told, 1);
        assert!(rewritten_files.is(written[0]));
    }

    #[test]
    fn a_round_in_which_it_stays_as_it_is_begins_the_count_anew() {
        let mut rewritten_files = RewrittenFiles::default();
        let edited = [Path::new("/p/main.rs")];
        for round in 0..20 {
            rewritten_files.begin();
            if round % MOST != 0 {
                assert!(rewritten_files.changed(edited).is_empty());
            }
        }
        assert!(!rewritten_files.is(edited[0]));
    }
}
