//! Files by which an operator takes the app out.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Their paths, separated by colons. The first file is a person's; the second says that the machine shuts down, and is
/// beside the link to the current generation.
const PORTKEEP_DRAIN_FILES: &str = "PORTKEEP_DRAIN_FILES";
/// A file has two numbers.
const LONGEST: u64 = 64;

/// State of an app that is to be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drained {
    /// How long the health socket says so before connections end.
    grace: Duration,
    /// How long it has been so.
    since: Duration,
}

impl Drained {
    /// How long connections have been ending; none before they do.
    pub(crate) fn ending(self) -> Option<Duration> {
        self.since.checked_sub(self.grace)
    }

    /// Parses one of the files: its beginning and the grace, both in microseconds. If the clock was set back since, it
    /// counts as over: a reader has to see an end.
    fn parse(text: &str, now: SystemTime) -> Option<Self> {
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        let mut time = || Some(Duration::from_micros(numbers.next()?.ok()?));
        let (began, grace) = (time()?, time()?);
        let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let since = now.checked_sub(began).unwrap_or(grace);
        Some(Self { grace, since })
    }
}

/// Paths of the files; none if the environment names none.
#[derive(Debug, Clone, Default)]
pub(crate) struct DrainFiles(Vec<PathBuf>);

impl DrainFiles {
    pub(crate) fn from_env() -> Self {
        let paths = std::env::var_os(PORTKEEP_DRAIN_FILES).unwrap_or_default();
        let paths = std::env::split_paths(&paths).filter(|path| path.is_absolute());
        Self(paths.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the app is to be taken out now. Costs a system call for each file.
    pub(crate) fn look(&self) -> Option<Drained> {
        let now = SystemTime::now();
        let found = self.0.iter().filter_map(|path| {
            let mut text = String::new();
            let file = File::open(path).ok()?;
            file.take(LONGEST).read_to_string(&mut text).ok()?;
            // An unreadable file counts as well.
            Some(Drained::parse(&text, now).unwrap_or(Drained {
                grace: Duration::ZERO,
                since: Duration::ZERO,
            }))
        });
        found.max_by_key(|drained| (drained.ending(), drained.since))
    }

    /// Directory of the link to the current generation.
    pub(crate) fn run_directory(&self) -> Option<&Path> {
        self.0.last()?.parent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn it_is_told_first_and_ends_connections_after_the_grace() {
        let at = |seconds| SystemTime::UNIX_EPOCH + S(seconds);
        let parse = |text, seconds| Drained::parse(text, at(seconds));
        let text = "100000000 10000000\n";
        assert_eq!(parse(text, 105).unwrap().ending(), None);
        assert_eq!(parse(text, 110).unwrap().ending(), Some(S(0)));
        assert_eq!(parse(text, 130).unwrap().ending(), Some(S(20)));
        // The clock was set back.
        assert_eq!(parse(text, 99).unwrap().ending(), Some(S(0)));
        for wrong in ["", "soon", "1", "-1 2", "1 x"] {
            assert_eq!(parse(wrong, 1), None, "{wrong:?}");
        }
    }

    #[test]
    fn either_file_says_it_and_the_one_that_is_further_counts() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| directory.path().join(name));
        let files = DrainFiles(paths.to_vec());
        assert_eq!(files.look(), None);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let write = |path: &Path, began: Duration, grace: u64| {
            let text = format!("{} {}\n", began.as_micros(), S(grace).as_micros());
            std::fs::write(path, text).unwrap();
        };
        write(&paths[1], now, 1000);
        assert_eq!(files.look().unwrap().ending(), None);
        write(&paths[0], now - S(100), 10);
        assert!(files.look().unwrap().ending().unwrap() >= S(90));
        std::fs::remove_file(&paths[1]).unwrap();
        std::fs::write(&paths[0], "what").unwrap();
        assert_eq!(files.look().unwrap().ending(), Some(S(0)));
    }
}
