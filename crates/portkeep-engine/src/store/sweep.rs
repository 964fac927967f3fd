//! Removes temporary files that a killed helper left.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, test_kill_process};

use super::Store;

impl Store {
    /// Removes them. Runs under the lock, even if the handover does nothing; files of running processes stay.
    pub(crate) fn sweep(&self) {
        let generations = self.generations();
        let generations = generations
            .iter()
            .map(|one| self.generation_directory(*one));
        let releases = fs::read_dir(self.releases_directory())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let fixed = [self.run.clone(), self.state.clone()];
        for directory in fixed.into_iter().chain(generations).chain(releases) {
            sweep_directory(&directory);
        }
    }
}

fn sweep_directory(directory: &Path) {
    sweep_of(directory, "");
}

/// Removes those in a directory that others use as well: files whose names begin with `name`.
pub(crate) fn sweep_of(directory: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let file = file.to_string_lossy();
        let is_of = file
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(name));
        if is_of && maker(&file).is_some_and(|pid| !lives(pid)) {
            // A file that cannot be removed now is left to the next handover.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The process that made a temporary file `.NAME.PID.RANDOM`, or `.NAME.PID` by older versions; none for other files.
fn maker(name: &str) -> Option<i32> {
    let number = |text: &str| text.parse().ok().filter(|pid: &i32| *pid > 0);
    let (rest, last) = name.strip_prefix('.')?.rsplit_once('.')?;
    rest.rsplit_once('.')
        .and_then(|(_, pid)| number(pid))
        .or_else(|| number(last))
}

fn lives(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn only_what_dead_processes_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let own = format!(".current.{}", std::process::id());
        let random = format!("{own}.4194305");
        let kept = [
            own.as_str(),
            random.as_str(),
            "current",
            ".hidden",
            ".a.b",
            ".a.b.c",
            "x.4194305",
        ];
        let left = [
            ".current.4194305",
            ".release.json.4194305",
            ".release.json.4194305.aB3dE9",
            ".current.4194305.123456",
        ];
        for name in kept.iter().chain(&left) {
            fs::write(directory.path().join(name), "").unwrap();
        }
        sweep_directory(directory.path());
        let mut left: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort_unstable();
        let mut kept = kept.map(str::to_owned);
        kept.sort_unstable();
        assert_eq!(left, kept);
    }
}
