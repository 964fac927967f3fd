//! Another user of the machine, who owns a build or wishes us ill. Only root can be one.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;

use crate::command::{Finished, run};

/// A user without rights. Made when it is first named, and left to the guest.
#[derive(Debug)]
pub struct OtherUser {
    name: &'static str,
    number: u32,
}

impl OtherUser {
    /// The user of that name.
    #[must_use]
    pub fn named(name: &'static str) -> Self {
        let number = || run("id", ["-u", name]);
        if number().code != Some(0) {
            let _ = run("useradd", ["--create-home", "--user-group", name]).expect_success();
        }
        let number = number().expect_success().stdout;
        Self {
            name,
            number: number.trim().parse().expect("a number"),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs a command as this user, with nothing of our environment that would help it.
    pub fn run(&self, words: &[&str]) -> Finished {
        let runuser = ["-u", self.name, "--", "env", "-u", "XDG_RUNTIME_DIR"];
        run("runuser", [&runuser, words].concat())
    }

    /// Gives it a file, a link or a directory with all that is in it.
    pub fn owns(&self, path: &Path) {
        lchown(path, Some(self.number), Some(self.number))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_directory = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        if is_directory {
            for entry in fs::read_dir(path).expect("a directory").flatten() {
                self.owns(&entry.path());
            }
        }
    }
}
